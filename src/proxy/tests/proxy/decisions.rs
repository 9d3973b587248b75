//! What is decided is written down so that it can be decided again; and what a trace's blocks are worth is what their
//! text is worth.

use crate::support::*;
use gorgo_routing::log::{LogHead, LogRow};
use gorgo_routing::verify::{Case, Verifier};
use gorgo_routing::{Router, RouterConfig, RoutingRequest, Target, registry};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use serde_json::Value;
use std::path::Path;

async fn good() -> Mock {
    Mock::fixed(whole("200 OK", "application/json", "{}")).await
}

/// Makes every decision of a file again: the policy, and how many there are.
fn verify(path: &Path) -> (String, u64) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let head: LogHead<Value> = serde_json::from_str(lines.next().unwrap()).unwrap();
    let policy = registry::build(&head.policy, head.parameters).unwrap();
    let mut verifier = Verifier::new(policy);
    for line in lines {
        let row: LogRow = serde_json::from_str(line).unwrap();
        assert!(verifier.check(&Case::try_from(row).unwrap()).unwrap(), "{line}");
    }
    let report = verifier.into_report();
    assert_eq!((report.matched, report.scores_changed), (report.total, 0));
    (head.policy, report.total)
}

#[tokio::test]
async fn every_decision_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (good().await, good().await);
    let busy = Mock::fixed(whole("503 Service Unavailable", "text/plain", "")).await;
    let more = format!(
        "policy = {{ name = \"gorgo-proxy\", running_factor = 2.0 }}\n[health]\noff = true\n[log]\ndecisions = \"{}/decisions.jsonl\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"",
        folder.path().display()
    );
    let proxy = proxy(&more, &[&a, &b, &busy]).await;
    let mut client = Client::to(&proxy).await;
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(30);
    let mut ask = async |n: usize| {
        for i in 0..n {
            let prompt = &text[..(i * 97) % text.len()];
            let session = format!("x-session-id: {}\r\n", i % 5);
            let body = format!("{{\"prompt\":\"{prompt}\"}}");
            client.send(&post("/v1/completions", &session, &body)).await;
            assert!(client.answer().await.0.starts_with("HTTP/1.1 200"));
        }
    };
    ask(40).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let new = "{\"name\":\"power-of-two\"}";
    admin
        .send(&format!(
            "PUT /policy HTTP/1.1\r\nhost: x\r\nauthorization: Bearer 0123456789abcdef\r\ncontent-length: {}\r\n\r\n{new}",
            new.len()
        ))
        .await;
    assert!(admin.answer().await.0.starts_with("HTTP/1.1 200"));
    ask(30).await;
    proxy.shutdown().await;
    let (policy, decisions) = verify(&folder.path().join("decisions.jsonl"));
    // Attempts that met the busy one were decided again, without it.
    assert!(policy == "gorgo-proxy" && decisions > 40, "{policy} {decisions}");
    let (policy, decisions) = verify(&folder.path().join("decisions-1.jsonl"));
    assert!(policy == "power-of-two" && decisions >= 30, "{policy} {decisions}");
}

/// A conversation as a trace has it, ids alone, told to a router as the simulator tells it; and its text, sent through a
/// proxy. Lengths, hits and choices are the same, turn by turn.
#[tokio::test]
async fn text_is_worth_what_the_blocks_of_its_trace_are_worth() {
    const BLOCK: u32 = 16;
    // Two conversations that share a system prompt; lengths that end within blocks.
    let turns = [(1, 70), (2, 75), (1, 190), (2, 201), (1, 333), (1, 333), (2, 512)];
    let chain = |session: u64, tokens: u64| {
        let blocks = tokens.div_ceil(u64::from(BLOCK));
        let ids = (0..blocks).map(|block| if block < 3 { block } else { session * 1000 + block });
        BlockChain::from_raw_ids(ids, Tokens(tokens), BLOCK).unwrap()
    };
    let (a, b) = (good().await, good().await);
    let more =
        "policy = \"cache-aware\"\nseed = 7\n[log]\ndecision_headers = true\n[health]\noff = true";
    let proxy = proxy(more, &[&a, &b]).await;
    let policy = registry::build("cache-aware", Value::Object(Default::default())).unwrap();
    let fleet = [0, 1].map(|id| (ReplicaId(id), RegionId(0)));
    let mut router = Router::new(RouterConfig::default(), policy, &fleet).unwrap();
    let key = gorgo_random::Key::new(7).with(gorgo_random::Purpose::Decision);
    let mut client = Client::to(&proxy).await;
    for (turn, (session, tokens)) in (0..).zip(turns) {
        let prompt = chain(session, tokens);
        let request = RoutingRequest {
            id: RequestId { session, turn },
            prompt: &prompt,
            max_tokens: Tokens(8),
            session: Some(session),
            hops: 0,
            residency: None,
        };
        let draw = key.word(session).word(u64::from(turn)).word(0).draw().bits();
        let target = router.decide(Nanos::ZERO, &request, draw).target;
        let Target::Replica(replica) = target else { panic!("somebody has room") };
        let expected = router.signals()[replica.index()].cached_tokens;
        let ticket = router.dispatched(Nanos::ZERO, &request, replica);
        router.finished(Nanos::ZERO, ticket, None);
        let text = gorgo_text::chain_text(&prompt, 0);
        let ids = format!("x-request-id: {session}.{turn}\r\nx-session-id: {session}\r\n");
        let body = format!("{{\"prompt\":\"{text}\",\"max_tokens\":8}}");
        client.send(&post("/v1/completions", &ids, &body)).await;
        let (head, _) = client.answer().await;
        let cached = header(&head, "x-gorgo-predicted-cached-tokens").unwrap();
        assert_eq!(cached, expected.to_string(), "turn {turn}\n{head}");
        let name = format!("r{}", replica.0);
        assert_eq!(header(&head, "x-gorgo-replica"), Some(name.as_str()), "turn {turn}");
    }
    proxy.shutdown().await;
}
