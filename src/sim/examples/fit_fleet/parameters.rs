//! What is fitted, between which bounds and from where; and the profile that a set of values stands for.

use gorgo_model::{CostProfile, EngineLimits, ProfileRange, ProfileSpec, Provenance};
use gorgo_types::Nanos;
use std::sync::Arc;

/// A free parameter.
pub struct Parameter {
    pub name: &'static str,
    pub low: f64,
    pub high: f64,
    pub start: f64,
    /// Where the start comes from.
    pub source: &'static str,
}

const fn parameter(
    name: &'static str,
    (low, high): (f64, f64),
    start: f64,
    source: &'static str,
) -> Parameter {
    Parameter { name, low, high, start, source }
}

/// The free parameters: the profile's, and what the proxy's thread takes for a decision and for a token. All are searched on a
/// logarithmic scale.
pub const FREE: &[Parameter] = &[
    parameter("prefill_base_ms", (2.0, 200.0), 30.0, "fixed 25 to 45 ms of TTFT beyond the tokens"),
    parameter("prefill_floor_ms", (20.0, 250.0), 80.0, "80 to 145 ms for any prefill pass"),
    parameter(
        "prefill_ms_per_token",
        (0.03, 0.12),
        0.06,
        "its authors: idle, 32 probes, median; the calm moments of the fitted files agree",
    ),
    parameter(
        "decode_base_ms",
        (4.0, 15.0),
        7.6,
        "decode step 7.5 to 7.8 ms + 0.4 to 0.5 ms a sequence",
    ),
    parameter("decode_ms_per_sequence", (0.1, 2.0), 0.45, "as above"),
    parameter(
        "decode_eager_ms",
        (20.0, 150.0),
        57.0,
        "steps above batch 20, where CUDA graphs end: 57 ms",
    ),
    parameter("overhead_ms", (1.0, 80.0), 10.0, "5 to 19 ms elsewhere"),
    parameter(
        "state_use",
        (0.02, 1.0),
        0.34,
        "hits of both runs over what chance gives (`pairs.rs`): 1 / 2.95",
    ),
    parameter(
        "state_repeat",
        (0.02, 1.0),
        0.7,
        "prompts that were sent again shortly after (`repeats.rs`)",
    ),
    parameter(
        "decision_ms",
        (1.0, 80.0),
        28.0,
        "requests that were sent together (`bursts.rs`); on shorter prompts half took 16 ms or more",
    ),
    parameter(
        "relay_ms_per_token",
        (0.01, 2.0),
        0.3,
        "the same, and 17-token prompts by how many requests are in flight (`bursts.rs`)",
    ),
];

/// Up to this batch decode steps are CUDA graphs (`--cuda-graph-max-bs 20`).
const LAST_GRAPH: u64 = 20;

impl Parameter {
    /// The value at a place of the unit interval.
    pub fn at(&self, place: f64) -> f64 {
        self.low * (self.high / self.low).powf(place)
    }

    /// The place of a value.
    pub fn place(&self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }
}

/// Values of all free parameters, in their order.
#[derive(Clone, Debug)]
pub struct Values(pub Vec<f64>);

impl Values {
    pub fn start() -> Self {
        Self(FREE.iter().map(|parameter| parameter.start).collect())
    }

    /// Where those at `free` stand in their bounds.
    pub fn places(&self, free: &[usize]) -> Vec<f64> {
        free.iter().map(|&at| FREE[at].place(self.0[at])).collect()
    }

    /// The same but for those at `free`, which stand at these places of their bounds.
    pub fn moved(&self, free: &[usize], places: &[f64]) -> Self {
        let mut moved = self.clone();
        for (&at, &place) in free.iter().zip(places) {
            moved.0[at] = FREE[at].at(place);
        }
        moved
    }

    pub fn get(&self, name: &str) -> f64 {
        let place = FREE.iter().position(|parameter| parameter.name == name);
        self.0[place.unwrap_or_else(|| panic!("{name} is a free parameter"))]
    }

    /// The profile, without its provenance.
    pub fn spec(&self) -> ProfileSpec {
        let (base, each) = (self.get("decode_base_ms"), self.get("decode_ms_per_sequence"));
        let eager = self.get("decode_eager_ms");
        let step = |sequences: u64| base + each * sequences as f64;
        let row = |sequences: u64, ms: f64| (sequences, vec![(1, ms)]);
        ProfileSpec {
            name: NAME.to_owned(),
            prefill_base_ms: self.get("prefill_base_ms"),
            prefill_ms_per_token: self.get("prefill_ms_per_token"),
            prefill_floor: vec![(1, self.get("prefill_floor_ms"))],
            decode_base_ms: Some(base),
            decode_ms_per_sequence: each,
            decode_table: vec![
                row(1, step(1)),
                row(LAST_GRAPH, step(LAST_GRAPH)),
                // As long as launching lasts longer than the steps themselves, the batch does not matter.
                row(LAST_GRAPH + 1, eager.max(step(LAST_GRAPH + 1))),
                row(64, eager.max(step(64))),
            ],
            overhead_ms: self.get("overhead_ms"),
            kv_bytes_per_token: KV_BYTES_PER_TOKEN,
            kv_pool_tokens: KV_POOL_TOKENS,
            limits: EngineLimits {
                chunked_prefill_tokens: 4_096,
                state_slots: Some(STATES_BY_MEMORY),
                state_use_ppb: (self.get("state_use") * 1e9).round() as u32,
                state_repeat_ppb: (self.get("state_repeat") * 1e9).round() as u32,
                ..EngineLimits::default()
            },
            range: ProfileRange::UNLIMITED,
            provenance: Provenance::default(),
            ..ProfileSpec::default()
        }
    }

    /// What a run needs of them.
    pub fn fleet(&self) -> Result<Fleet, String> {
        let profile = CostProfile::try_from(self.spec()).map_err(|error| error.to_string())?;
        let decision_time = Nanos::from_ms(self.get("decision_ms")).map_err(|e| e.to_string())?;
        let relay = Nanos::from_ms(self.get("relay_ms_per_token"));
        let relay_time_per_token = relay.map_err(|e| e.to_string())?;
        Ok(Fleet { profile: Arc::new(profile), decision_time, relay_time_per_token })
    }
}

/// What the free parameters stand for in a run.
#[derive(Clone)]
pub struct Fleet {
    pub profile: Arc<CostProfile>,
    /// What the proxy takes to decide on one request; it decides on one after the other.
    pub decision_time: Nanos,
    /// What passing on a token takes of the same thread.
    pub relay_time_per_token: Nanos,
}

/// The profile's name and its file's.
pub const NAME: &str = "2xl40s_qwen3.5-35b-a3b-fp8";
/// 10 layers with full attention x 2 KV heads x 256 x 2 (K and V) x 2 bytes.
pub const KV_BYTES_PER_TOKEN: u64 = 20_480;
/// What the engine itself reported (`max_total_num_tokens`).
pub const KV_POOL_TOKENS: u64 = 983_549;
/// States of the linear-attention layers that would fit beside that pool, if SGLang gives them 0.9 of what it gives KV.
pub const STATES_BY_MEMORY: u32 = 281;
