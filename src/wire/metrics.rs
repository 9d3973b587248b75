//! What engines say of their load on `/metrics`, in Prometheus' text form: SGLang's names, or vLLM's.
//!
//! Only the few that a router scrapes are looked at; the page is read line by line and everything else skipped. Where
//! one engine reports several series of a name (data-parallel ranks), counts add up.

use crate::WireError;

/// An engine's load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineLoad {
    /// Requests that it runs.
    pub running_requests: u32,
    /// Requests in its own queue.
    pub queued_requests: u32,
    /// KV tokens in use.
    pub used_tokens: u64,
    /// KV pool size in tokens; 0 where it is not told.
    pub kv_pool_tokens: u64,
}

/// The sums of the series of one name.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: f64,
    series: u32,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.total += value;
        self.series += 1;
    }

    fn get(self) -> Option<f64> {
        (self.series > 0).then_some(self.total)
    }

    fn mean(self) -> Option<f64> {
        (self.series > 0).then(|| self.total / f64::from(self.series))
    }
}

/// More than any pool or queue has; larger numbers are a fault of the page.
const LARGEST: f64 = 1e15;

impl EngineLoad {
    /// Reads a page.
    ///
    /// # Errors
    /// When it has neither engine's count of running requests, or a value that cannot be one.
    pub fn parse(page: &str) -> Result<Self, WireError> {
        let (mut running, mut queued) = (Sum::default(), Sum::default());
        let (mut used, mut share, mut pool) = (Sum::default(), Sum::default(), Sum::default());
        for line in page.lines() {
            let line = line.trim_ascii();
            let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            // Some exporters write the colon as an underscore.
            let Some(name) = ["sglang", "vllm"]
                .iter()
                .find_map(|engine| name.strip_prefix(engine)?.strip_prefix([':', '_']))
            else {
                continue;
            };
            let (sum, field): (&mut Sum, &'static str) = match name {
                "num_running_reqs" | "num_requests_running" => (&mut running, "running requests"),
                "num_queue_reqs" | "num_requests_waiting" => (&mut queued, "queued requests"),
                "num_used_tokens" => (&mut used, "used tokens"),
                "token_usage" | "kv_cache_usage_perc" | "gpu_cache_usage_perc" => {
                    (&mut share, "share of the KV pool")
                }
                "max_total_num_tokens" => (&mut pool, "tokens of the KV pool"),
                "cache_config_info" => {
                    if let Some(tokens) = pool_of(rest) {
                        pool.add(tokens);
                    }
                    continue;
                }
                _ => continue,
            };
            sum.add(value(field, rest)?);
        }
        let Some(running) = running.get() else {
            let problem =
                "neither sglang:num_running_reqs nor vllm:num_requests_running".to_owned();
            return Err(WireError::Json { what: "the metrics page", problem });
        };
        let pool = pool.get().unwrap_or(0.0);
        let used = used.get().or_else(|| Some(share.mean()?.min(1.0) * pool)).unwrap_or(0.0);
        Ok(Self {
            running_requests: whole(running).try_into().unwrap_or(u32::MAX),
            queued_requests: whole(queued.get().unwrap_or(0.0)).try_into().unwrap_or(u32::MAX),
            used_tokens: whole(used),
            kv_pool_tokens: whole(pool),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values are checked to lie between 0 and 1e15, and there are fewer than 1000 of them"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// A line's value, behind its labels; what follows is a time.
fn value(field: &'static str, rest: &str) -> Result<f64, WireError> {
    let rest = after_labels(rest);
    let text = rest.split_ascii_whitespace().next().unwrap_or("");
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| (0.0..=LARGEST).contains(value)).ok_or_else(|| WireError::Field {
        field,
        got: text.chars().take(40).collect(),
        wanted: "a number from 0 to 1e15",
    })
}

fn after_labels(rest: &str) -> &str {
    if !rest.starts_with('{') {
        return rest;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return &rest[at + 1..],
            _ => {}
        }
    }
    ""
}

/// vLLM tells its pool in labels: in tokens, or as blocks and their size.
fn pool_of(labels: &str) -> Option<f64> {
    let label = |name: &str| -> Option<f64> {
        let start = labels.find(&format!("{name}=\""))? + name.len() + 2;
        let text = labels[start..].split('"').next()?;
        text.parse().ok().filter(|value| (0.0..=LARGEST).contains(value))
    };
    let tokens = label("kv_cache_size_tokens");
    let tokens = tokens.or_else(|| Some(label("block_size")? * label("num_gpu_blocks")?));
    tokens.filter(|&tokens| tokens <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_are_read() {
        let sglang = "# HELP sglang:num_running_reqs x\n# TYPE sglang:num_running_reqs gauge\n\
            sglang:num_running_reqs{model_name=\"a } b\\\" {\",tp_rank=\"0\"} 3.0\n\
            sglang:num_queue_reqs{model_name=\"m\"} 2.0 1700000000000\n\
            sglang:num_used_tokens{model_name=\"m\"} 5120.0\nsglang:token_usage{} 0.01\n\
            sglang:max_total_num_tokens{model_name=\"m\"} 400000\nsglang:gen_throughput{} NaN\n";
        let wanted = EngineLoad {
            running_requests: 3,
            queued_requests: 2,
            used_tokens: 5120,
            kv_pool_tokens: 400_000,
        };
        assert_eq!(EngineLoad::parse(sglang).unwrap(), wanted);
        let vllm = "vllm:num_requests_running{engine=\"0\"} 1\nvllm:num_requests_running{engine=\"1\"} 2\n\
            vllm:num_requests_waiting{} 4\nvllm:kv_cache_usage_perc{} 0.25\n\
            vllm:cache_config_info{block_size=\"32\",num_gpu_blocks=\"1000\"} 1.0\n";
        let wanted = EngineLoad {
            running_requests: 3,
            queued_requests: 4,
            used_tokens: 8000,
            kv_pool_tokens: 32_000,
        };
        assert_eq!(EngineLoad::parse(vllm).unwrap(), wanted);
    }

    #[test]
    fn pages_that_tell_nothing_are_refused() {
        for (page, word) in [
            ("", "neither"),
            ("<html>", "neither"),
            ("sglang:num_queue_reqs 1", "neither"),
            ("sglang:num_running_reqs NaN", "got NaN"),
            ("sglang:num_running_reqs -1", "got -1"),
            ("sglang:num_running_reqs 1e300", "1e300"),
            ("sglang:num_running_reqs{a=\"b", "got "),
            ("vllm:num_requests_running", "got "),
        ] {
            let error = EngineLoad::parse(page).unwrap_err().to_string();
            assert!(error.contains(word), "{page}: {error}");
        }
        // A pool that makes no sense is none.
        let odd = "vllm:num_requests_running 1\nvllm:cache_config_info{block_size=\"-4\",num_gpu_blocks=\"x\"} 1";
        assert_eq!(EngineLoad::parse(odd).unwrap().kv_pool_tokens, 0);
    }
}
