//! Every profile of `data/gpus` through a replica: a lone request takes what its profile says, to the nanosecond, and
//! under load the replica serves as many requests a second as its profile says it must.

#[expect(dead_code, reason = "only the root is wanted of it")]
mod reference;

use gorgo_model::{
    CostProfile, EngineRequest, Femtos, PrefillItem, ProfileSpec, ReplicaConfig, ReplicaEvent,
    ReplicaOutput, RequestKey, SglangReplica,
};
use gorgo_types::{BlockChain, Nanos, Tokens};
use std::sync::Arc;

/// All profiles, as replicas have them.
fn profiles() -> Vec<Arc<CostProfile>> {
    let mut files: Vec<_> = std::fs::read_dir(reference::root().join("data/gpus"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 14);
    let read = |path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let spec: ProfileSpec = toml::from_str(&text).unwrap();
        Arc::new(CostProfile::try_from(spec).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn replica(profile: &Arc<CostProfile>) -> SglangReplica {
    let config = ReplicaConfig {
        profile: Arc::clone(profile),
        kv_pool_tokens: profile.kv_pool_tokens,
        limits: profile.limits.clone(),
        prefix_cache: true,
    };
    SglangReplica::new(config).unwrap()
}

/// A request whose prompt no other one shares.
fn request(profile: &CostProfile, own: u64, prompt: u64, output: u64) -> EngineRequest {
    let blocks = (0..prompt.div_ceil(16)).map(|block| (own << 32) + block + 1);
    EngineRequest {
        prompt: BlockChain::from_raw_ids(blocks, Tokens(prompt), 16).unwrap(),
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence: None,
        overhead: profile.overhead,
    }
}

/// Prefill in chunks, then one step for each further token.
fn alone(profile: &CostProfile, prompt: u64, output: u64) -> (Femtos, Femtos) {
    let chunk = u64::from(profile.limits.chunked_prefill_tokens);
    let (mut time, mut done) = (Femtos::from_nanos(profile.overhead), 0);
    while done < prompt {
        let new = chunk.min(prompt - done);
        let (new_tokens, cached_tokens) = (new as u32, done as u32);
        time += profile.prefill(&[PrefillItem { new_tokens, cached_tokens }]);
        done += new;
    }
    let first = time;
    for emitted in 1..output {
        time += profile.decode_step(1, prompt + emitted);
    }
    (first, time)
}

#[test]
fn a_lone_request_takes_what_its_profile_says() {
    for profile in profiles() {
        for (prompt, output) in [(1, 1), (17, 40), (250, 3), (1_000, 3_000), (20_000, 200)] {
            let mut replica = replica(&profile);
            let start = Nanos(1_234_567);
            replica.arrive(start, RequestKey(0), request(&profile, 1, prompt, output)).unwrap();
            let mut out = ReplicaOutput::default();
            while let Some(wake) = replica.next_wake() {
                replica.advance(wake, &mut out);
            }
            let at = |femtos: Femtos| (Femtos::from_nanos(start) + femtos).to_nanos();
            let (first, last) = alone(&profile, prompt, output);
            let got = |wanted: fn(&ReplicaEvent) -> bool| {
                out.events.iter().find(|event| wanted(event)).map(ReplicaEvent::at)
            };
            let name = &profile.name;
            let first_token = got(|event| matches!(event, ReplicaEvent::FirstToken { .. }));
            assert_eq!(first_token, Some(at(first)), "{name}: {prompt} tokens");
            let finished = got(|event| matches!(event, ReplicaEvent::Finished { .. }));
            assert_eq!(finished, Some(at(last)), "{name}: {prompt} + {output} tokens");
        }
    }
}

/// Closed loop: `CLIENTS` requests of 1,024 + 128 tokens are always under way.
const CLIENTS: u64 = 64;
const PROMPT: u64 = 1_024;
const OUTPUT: u64 = 128;

/// Prediction: started together, all 64 are prefilled in 8 batches of 8 (8,192 tokens), then decode together for 127
/// steps; the next 64 come when these end. A round takes the sum of these times.
fn predicted_rps(profile: &CostProfile) -> f64 {
    let item = PrefillItem { new_tokens: PROMPT as u32, cached_tokens: 0 };
    let batch = u64::from(profile.limits.chunked_prefill_tokens) / PROMPT;
    let prefill = profile.prefill(&vec![item; batch as usize]).as_ms() * (CLIENTS / batch) as f64;
    let step = |emitted| profile.decode_step(CLIENTS as u32, CLIENTS * (PROMPT + emitted)).as_ms();
    let decode: f64 = (1..OUTPUT).map(step).sum();
    CLIENTS as f64 / (profile.overhead.as_ms() + prefill + decode) * 1e3
}

#[test]
fn throughput_saturates_where_the_profile_says() {
    for profile in profiles() {
        let mut replica = replica(&profile);
        let mut out = ReplicaOutput::default();
        let mut sent = 0;
        let mut send = |replica: &mut SglangReplica, now| {
            let key = RequestKey(sent);
            sent += 1;
            let request = request(&profile, u64::from(sent), PROMPT, OUTPUT);
            replica.arrive(now, key, request).unwrap();
        };
        (0..CLIENTS).for_each(|_| send(&mut replica, Nanos(0)));
        let (mut finished, mut now) = (0_u64, Nanos(0));
        while finished < 20 * CLIENTS {
            now = replica.next_wake().unwrap();
            replica.advance(now, &mut out);
            let ended =
                out.events.iter().filter(|event| matches!(event, ReplicaEvent::Finished { .. }));
            let ended = ended.count() as u64;
            out.clear();
            finished += ended;
            (0..ended).for_each(|_| send(&mut replica, now));
        }
        let simulated = finished as f64 / now.as_ms() * 1e3;
        let predicted = predicted_rps(&profile);
        let name = &profile.name;
        println!("{name}: predicted {predicted:.2}/s, simulated {simulated:.2}/s");
        assert!((simulated / predicted - 1.0).abs() < 0.02, "{name}: {simulated} for {predicted}");
    }
}
