//! Small logs, written as the tables are.

use gorgo_model::ProfileSpec;
use gorgo_predict::{Assumptions, RecordedLog, RecordedLogColumns};

/// The columns of two replicas.
pub const HEADER: &str = "request_id,decided_s,request_tokens,engine_prompt_tokens,completion_tokens,status,\
metrics_age_s,chosen,r0_scrape_latency_ms,r0_rtt_ewma_ms,r0_running,r0_queued_requests,r0_used_tokens,\
r0_queued_tokens,r0_cached_tokens,r1_scrape_latency_ms,r1_rtt_ewma_ms,r1_running,r1_queued_requests,\
r1_used_tokens,r1_queued_tokens,r1_cached_tokens,ttft_ms,e2e_ms";

/// A request; replica 0 is 100 ms away, replica 1 is 20 ms away.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub at_s: f64,
    pub tokens: u32,
    pub output: u32,
    pub status: u16,
    pub chosen: usize,
    pub cached: u32,
    pub running: u32,
    pub ttft_ms: f64,
}

impl Default for Ask {
    fn default() -> Self {
        let (at_s, tokens, output, status) = (0.0, 20, 2, 200);
        let (chosen, cached, running, ttft_ms) = (0, 0, 0, 100.0);
        Self { at_s, tokens, output, status, chosen, cached, running, ttft_ms }
    }
}

impl Ask {
    /// Its row. The metrics are from one scrape, 100 s before the first decision.
    pub fn row(&self) -> String {
        let Self { at_s, tokens, output, status, chosen, cached, running, ttft_ms } = *self;
        let (engine, output, ttft, e2e) = if status == 200 {
            (tokens.to_string(), output.to_string(), ttft_ms.to_string(), ttft_ms + 1_000.0)
        } else {
            (String::new(), String::new(), String::new(), 50.0)
        };
        let age = at_s + 100.0;
        format!(
            "x,{at_s},{tokens},{engine},{output},{status},{age},{chosen},100,100,{running},0,0,0,{cached},\
             20,20,{running},0,0,0,{cached},{ttft},{e2e}"
        )
    }
}

/// The log of these requests.
pub fn log(asks: &[Ask]) -> RecordedLog {
    let columns = RecordedLogColumns::from_header(HEADER.split(',')).expect("the header is good");
    let mut log = RecordedLog::default();
    for (ask, ordinal) in asks.iter().zip(0..) {
        let row = ask.row();
        let fields: Vec<&str> = row.split(',').collect();
        let row = columns.row(ordinal, &fields).expect("the row is good");
        log.push(row).expect("rows rise");
    }
    log
}

/// 30 ms of overhead, passes of 0.1 ms a token and 50 ms at least, steps of 10 ms.
pub fn assumptions() -> Assumptions {
    Assumptions::of_profile(ProfileSpec {
        name: "test".to_owned(),
        overhead_ms: 30.0,
        prefill_ms_per_token: 0.1,
        prefill_floor: vec![(1, 50.0)],
        decode_base_ms: Some(10.0),
        kv_bytes_per_token: 1,
        kv_pool_tokens: 1 << 20,
        ..ProfileSpec::default()
    })
}
