//! Random scripts: small machines, tight pools, shared prefixes, conversations, bursts.
//!
//! A case is a function of its number alone. Sizes are small so that blocks, chunks, pools and outputs meet in all
//! combinations; times are often whole multiples of the steps, so that things happen exactly on boundaries. What the
//! cases reach is not hoped for but counted (`coverage.rs`).

use crate::script::{Action, Script};
use gorgo_model::{CostProfile, EngineLimits, EngineRequest, ProfileSpec, ReplicaConfig, Schedule};
use gorgo_random::Key;
use gorgo_types::{BlockChain, Nanos, Tokens};
use std::sync::Arc;

/// Draws of one case, one after the other.
#[derive(Clone, Debug)]
struct Dice {
    key: Key,
    thrown: u64,
}

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.thrown += 1;
        self.key.word(self.thrown).draw().below(n)
    }

    /// A number from `low` to `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// How large the cases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Up to some 30 requests: for every run of the tests.
    Small,
    /// Up to some 300 requests: for the long check.
    Large,
}

/// What is common to a case's requests.
struct Shape {
    block_tokens: u32,
    longest_prompt: u64,
    longest_output: u64,
    quantum: u64,
    overhead: u64,
    sequences: bool,
    /// Nearly all ask the same, the first one well before the others, and hardly more than the prompt fits.
    flock: bool,
}

/// A conversation: all its tokens so far.
struct Conversation {
    tokens: Vec<u32>,
}

/// The script of case `number`.
#[must_use]
pub fn case(number: u64, size: Size) -> Script {
    let mut dice = Dice { key: Key::new(0x0dd5_eed5).word(number).word(size as u64), thrown: 0 };
    let shape = draw_shape(&mut dice);
    let most = if size == Size::Small { 30 } else { 300 };
    let requests = dice.between(1, most);
    let mut actions = draw_actions(&mut dice, &shape, requests);
    draw_disturbances(&mut dice, &mut actions);
    let config = draw_config(&mut dice, &shape, &actions);
    let mut script = Script { config, actions };
    script.sort();
    script
}

fn draw_shape(dice: &mut Dice) -> Shape {
    let quantum = dice.pick(&[10, 10, 50, 100, 100, 1000, 1]);
    Shape {
        block_tokens: dice.pick(&[1, 2, 3, 4, 4, 5, 8, 16, 16, 64]),
        longest_prompt: dice.pick(&[5, 20, 60, 150, 150, 300]),
        longest_output: dice.pick(&[1, 3, 10, 30, 30, 100, 300]),
        quantum,
        overhead: dice.pick(&[0, 0, quantum, 3 * quantum, 777]),
        sequences: !dice.one_in(4),
        flock: dice.one_in(12),
    }
}

/// The requests: prompts that share beginnings, repeat each other or continue conversations.
fn draw_actions(dice: &mut Dice, shape: &Shape, requests: u64) -> Vec<(Nanos, Action)> {
    let families: Vec<Vec<u32>> = (0..dice.between(1, 3))
        .map(|family| {
            (0..shape.longest_prompt as u32).map(|i| family as u32 * 10_000 + i).collect()
        })
        .collect();
    let mut conversations: Vec<Conversation> = Vec::new();
    let mut prompts: Vec<Vec<u32>> = Vec::new();
    let burst = if shape.flock { 1000 } else { dice.pick(&[1, 1, 2, 5, 30]) };
    let spread = dice.pick(&[0, 3, 10, 50, 300]);
    let mut now = 0;
    let mut actions = Vec::new();
    for ordinal in 0..requests {
        if dice.one_in(burst) {
            now += dice.below(spread + 1) * shape.quantum;
        }
        if shape.flock && ordinal == 1 {
            now += 100_000;
        }
        let again = !prompts.is_empty() && (dice.one_in(4) || (shape.flock && !dice.one_in(8)));
        let continued = if conversations.is_empty() || again || dice.one_in(3) {
            None
        } else {
            Some(dice.below(conversations.len() as u64) as usize)
        };
        let prompt = match continued {
            Some(chat) => longer(dice, shape, &conversations[chat].tokens, ordinal),
            None if again && shape.flock => prompts[0].clone(),
            None if again => prompts[dice.below(prompts.len() as u64) as usize].clone(),
            None => {
                let family = dice.below(families.len() as u64) as usize;
                let shared = dice.below(families[family].len() as u64 + 1) as usize;
                longer(dice, shape, &families[family][..shared], ordinal)
            }
        };
        let output = dice.between(1, shape.longest_output);
        let mut whole = prompt.clone();
        // One output in three is a word for word repetition of what another request would get.
        let voice = if dice.one_in(3) { 7 } else { 1_000 + ordinal as u32 };
        whole.extend((0..output as u32).map(|i| 1_000_000 * voice + i));
        actions.push((Nanos(now), Action::Arrive(request(dice, shape, &prompt, &whole))));
        prompts.push(prompt);
        match continued {
            Some(chat) if dice.one_in(2) => conversations[chat].tokens = whole,
            _ => conversations.push(Conversation { tokens: whole }),
        }
    }
    actions
}

/// A beginning (mostly all of it), and new tokens after it.
fn longer(dice: &mut Dice, shape: &Shape, beginning: &[u32], ordinal: u64) -> Vec<u32> {
    let keep = if dice.one_in(4) {
        dice.below(beginning.len() as u64 + 1)
    } else {
        beginning.len() as u64
    };
    let mut tokens = beginning[..keep as usize].to_vec();
    let more = dice.below(shape.longest_prompt / 2 + 1).max(u64::from(tokens.is_empty()));
    tokens.extend((0..more as u32).map(|i| 500_000_000 + ordinal as u32 * 10_000 + i));
    tokens
}

fn request(dice: &mut Dice, shape: &Shape, prompt: &[u32], whole: &[u32]) -> EngineRequest {
    let chain = |tokens: &[u32]| {
        BlockChain::from_tokens(tokens, shape.block_tokens).expect("a chain of some tokens")
    };
    let output = (whole.len() - prompt.len()) as u64;
    let max_tokens = output + dice.pick(&[0, 0, 1, 10, 100, 5000]) * dice.below(2);
    let overhead = match dice.below(3) {
        0 => shape.overhead,
        1 => dice.below(shape.overhead + 1),
        _ => shape.overhead / shape.quantum * shape.quantum,
    };
    EngineRequest {
        prompt: chain(prompt),
        output_tokens: Tokens(output),
        max_tokens: Tokens(max_tokens),
        sequence: (shape.sequences && !dice.one_in(6)).then(|| chain(whole)),
        overhead: Nanos(overhead),
    }
}

/// Cancels, scrapes, useless calls and sometimes a crash, at the times of arrivals and shortly after them.
fn draw_disturbances(dice: &mut Dice, actions: &mut Vec<(Nanos, Action)>) {
    let requests = actions.len() as u64;
    let arrivals: Vec<u64> = actions.iter().map(|(at, _)| at.0).collect();
    let calm = dice.one_in(3);
    let after = |dice: &mut Dice, at: u64| {
        let quantum = dice.pick(&[1, 10, 100, 1000]);
        Nanos(at + dice.below(100) * quantum)
    };
    for _ in 0..if calm { 0 } else { dice.below(requests / 3 + 2) } {
        let index = dice.below(requests) as usize;
        let at = after(dice, arrivals[index]);
        actions.push((at, Action::Cancel(index)));
    }
    for _ in 0..dice.below(20) {
        let near = dice.below(requests) as usize;
        let at = after(dice, arrivals[near]);
        let action = if dice.one_in(4) { Action::Poke } else { Action::Observe };
        actions.push((at, action));
    }
    if dice.one_in(12) {
        let near = dice.below(requests) as usize;
        let at = after(dice, arrivals[near]);
        actions.push((at, Action::Crash));
    }
}

fn draw_config(dice: &mut Dice, shape: &Shape, actions: &[(Nanos, Action)]) -> ReplicaConfig {
    let clip = if shape.flock { 1 } else { dice.pick(&[1, 8, 64, 4096, 4096]) };
    let init = if shape.flock {
        0
    } else {
        dice.pick(&[700_000_000, 700_000_000, 1_000_000_000, 100_000_000, 0])
    };
    let limits = EngineLimits {
        max_prefill_tokens: dice.pick(&[1, 20, 64, 200, 16_384, 16_384]),
        chunked_prefill_tokens: dice.pick(&[1, 7, 16, 33, 64, 200, 8192, 8192]),
        max_running_requests: dice.pick(&[1, 2, 3, 8, 2048, 2048]),
        schedule: dice.pick(&[Schedule::Fcfs, Schedule::Fcfs, Schedule::Lpm]),
        clip_max_new_tokens: clip,
        new_token_ratio_init_ppb: init,
        new_token_ratio_min_ppb: dice.below(u64::from(init) + 1) as u32,
        new_token_ratio_decay_steps: dice.pick(&[1, 5, 50, 600]),
        retract_decode_steps: dice.pick(&[0, 1, 5, 20, 20]),
        state_slots: None,
        ..EngineLimits::default()
    };
    let needs = actions.iter().filter_map(|(_, action)| match action {
        Action::Arrive(request) => {
            let (prompt, output) = (request.prompt.tokens().0, request.output_tokens.0);
            let reserve = request.max_tokens.0.min(u64::from(clip)) + 1;
            Some(prompt + reserve.max(output))
        }
        _ => None,
    });
    let least = needs.max().unwrap_or(1);
    let percent = if shape.flock {
        100
    } else {
        dice.pick(&[100, 100, 103, 110, 130, 130, 200, 300, 1000, 90])
    };
    let more = dice.below(actions.len() as u64 * 3);
    let mut config = ReplicaConfig {
        profile: Arc::new(draw_profile(dice)),
        kv_pool_tokens: (least * percent / 100 + if shape.flock { more } else { 0 }).max(2),
        limits,
        prefix_cache: !dice.one_in(10),
    };
    // Drawn last, so that the other cases stay what they were.
    config.limits.state_slots =
        if dice.one_in(3) { Some(dice.pick(&[1, 2, 4, 12, 1000])) } else { None };
    config
}

/// Steps of whole tens of nanoseconds; or of odd femtoseconds, with floors.
fn draw_profile(dice: &mut Dice) -> CostProfile {
    if !dice.one_in(3) {
        let base = Nanos(dice.pick(&[10, 50, 100]));
        let per_token = dice.pick(&[0, 1, 10]);
        let (per_sequence, per_context_token) =
            dice.pick(&[(0, 0), (10, 0), (10, 0), (10, 1), (0, 1)]);
        return CostProfile::constant(base, per_token, base, per_sequence, per_context_token);
    }
    // In ms: about a thousandth of an H100's times, so that all is of the size of the cases' times.
    let floors: Vec<(u64, f64)> = match dice.below(3) {
        0 => vec![],
        1 => vec![(16, 1.1e-4), (64, 3.137e-4)],
        _ => vec![(1, 2e-4)],
    };
    let spec = ProfileSpec {
        name: "odd".to_owned(),
        prefill_base_ms: 1.003_7e-4,
        prefill_ms_per_token: 1.370_1e-6,
        prefill_ms_per_token_squared: 8.674_3e-9,
        prefill_floor: floors,
        decode_base_ms: Some(5.446_1e-5),
        decode_ms_per_sequence: 1.234_5e-6,
        decode_ms_per_context_token: dice.pick(&[4.211_6e-8, 4.211_6e-7, 4.211_6e-7, 0.0]),
        decode_floor_ms: dice.pick(&[0.0, 6e-5, 7.000_3e-5, 7.000_3e-5, 9e-5, 1.2e-4]),
        overhead_ms: 0.0,
        kv_bytes_per_token: 1,
        kv_pool_tokens: 1,
        limits: EngineLimits::default(),
        ..ProfileSpec::default()
    };
    CostProfile::try_from(with_tables(spec, dice)).expect("a profile that makes sense")
}

/// One profile in three has tables instead of floors, with knots that the cases' few tokens reach.
fn with_tables(spec: ProfileSpec, dice: &mut Dice) -> ProfileSpec {
    if dice.below(3) != 0 {
        return spec;
    }
    ProfileSpec {
        prefill_floor: vec![],
        decode_floor_ms: 0.0,
        prefill_table: vec![
            (0, vec![(4, 1.1e-4), (16, 1.3e-4), (64, 2.9e-4)]),
            (24, vec![(4, 1.05e-4), (64, 3.3e-4)]),
        ],
        decode_table: vec![
            (1, vec![(3, 5.5e-5), (10, 5.9e-5), (23, 7.1e-5)]),
            (3, vec![(7, 6.1e-5), (20, 6.100_3e-5), (40, 9e-5)]),
        ],
        ..spec
    }
}
