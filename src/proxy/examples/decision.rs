//! What stands between a request's last byte and its dispatch: parsing, hashing, deciding, for a body of 2,048 tokens.
//!
//! `cargo run --release -p gorgo-proxy --example decision`
//!
//! 2,000 prompts are known, in 100 groups that share their first half; the ones asked for share a first half and go on
//! by themselves. Without sockets and without the lock. `routing/benches/decision.rs` has the decision alone, by criterion.

use gorgo_routing::{LearnAt, Router, RouterConfig, RoutingRequest, Scrape, registry};
use gorgo_text::Tokens;
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens as Count};
use gorgo_wire::{Api, Asked};
use std::hint::black_box;
use std::time::Instant;

const CHARS: usize = 2_048 * 4;
const NOW: Nanos = Nanos::from_secs(1);

fn body(group: usize, own: usize) -> String {
    let shared = format!("group {group} says: ").repeat(CHARS);
    let rest = format!("number {own} says: ").repeat(CHARS);
    let text = format!("{}{}", &shared[..CHARS / 2], &rest[..CHARS / 2]);
    format!(
        "{{\"model\":\"m\",\"stream\":true,\"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
    )
}

fn chain(body: &str, tokens: &Tokens) -> BlockChain {
    let asked = Asked::parse(Api::Chat, body.as_bytes()).expect("a chat");
    asked.prompt.chain(tokens, 0, 16).expect("a prompt")
}

const fn request(prompt: &BlockChain) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Count(64), session: None, hops: 0, residency: None }
}

fn filled(replicas: u32, tokens: &Tokens) -> Router {
    let fleet: Vec<_> = (0..replicas).map(|r| (ReplicaId(r), RegionId(r % 3))).collect();
    let config = RouterConfig { learn_at: LearnAt::Dispatch, ..RouterConfig::default() };
    let policy = registry::build("gorgo", serde_json::json!({})).expect("the defaults");
    let mut router = Router::new(config, policy, &fleet).expect("a fleet");
    for &(replica, _) in &fleet {
        let latency = Nanos::from_millis(20);
        router.probe_result(NOW, replica, Some(latency));
        let (taken_at, kv_pool_tokens) = (NOW, 400_000);
        let (running_requests, queued_requests, used_tokens) = (1, 0, 1_000);
        let scrape = Scrape {
            running_requests,
            queued_requests,
            used_tokens,
            kv_pool_tokens,
            taken_at,
            latency,
        };
        router.scraped(NOW, replica, scrape);
    }
    for own in 0..2_000 {
        let prompt = chain(&body(own % 100, own), tokens);
        let ticket = router.dispatched(NOW, &request(&prompt), ReplicaId(own as u32 % replicas));
        router.finished(NOW, ticket, None);
    }
    router
}

fn main() {
    let tokens = Tokens::default();
    println!(
        "| replicas | parse p50 us | hash p50 us | decide p50 us | all p50 us | all p99 us |\n|---|---|---|---|---|---|"
    );
    for replicas in [3, 16, 64] {
        let mut router = filled(replicas, &tokens);
        let mut times: [Vec<f64>; 4] = Default::default();
        for own in 0..5_000 {
            let body = body(own % 100, 1_000_000 + own);
            let began = Instant::now();
            let asked = Asked::parse(Api::Chat, body.as_bytes()).expect("a chat");
            let parsed = Instant::now();
            let prompt = asked.prompt.chain(&tokens, 0, 16).expect("a prompt");
            let hashed = Instant::now();
            black_box(router.decide(NOW, &request(&prompt), own as u64).target);
            let decided = Instant::now();
            let spans = [parsed - began, hashed - parsed, decided - hashed, decided - began];
            for (all, span) in times.iter_mut().zip(spans) {
                all.push(span.as_secs_f64() * 1e6);
            }
        }
        times.iter_mut().for_each(|all| all.sort_by(f64::total_cmp));
        let at = |which: usize, q: usize| times[which][times[which].len() * q / 100];
        println!(
            "| {replicas} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            at(0, 50),
            at(1, 50),
            at(2, 50),
            at(3, 50),
            at(3, 99)
        );
    }
}
