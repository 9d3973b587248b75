//! A policy of one's own, outside the crate: GORGO's cost with a price per token and with hysteresis.
//!
//! ```text
//! cargo run -p gorgo-routing --example custom_policy
//! ```
//!
//! The policy adds to round trip, prefill and queue what the replica's tokens cost, and stays with the replica it sent
//! the last request to unless another is cheaper by more than a margin. It is all in this file: the rule in `decide`,
//! its memory in `on_dispatched`. A `Router` takes it like any other policy (`Router::new(config, Box::new(policy), ..)`).

use gorgo_routing::policy::DrawUse;
use gorgo_routing::{
    Decision, Needs, Policy, Question, RoutingRequest, Signals, Target, Tie, verify,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use std::error::Error;

/// See the head of this file. All prices are in milliseconds, so that the terms can be compared.
#[derive(Debug)]
struct Thrifty {
    /// Milliseconds of prefill per token.
    prefill_ms_per_token: f64,
    /// Dollars per million prompt tokens, by replica.
    usd_per_million: Vec<f64>,
    /// How many milliseconds a dollar is worth.
    ms_per_usd: f64,
    /// How much cheaper another replica must be before requests move there.
    margin_ms: f64,
    /// Where the last request went.
    last: Option<ReplicaId>,
}

impl Policy for Thrifty {
    fn name(&self) -> &'static str {
        "thrifty"
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: true }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let terms = &["rtt", "prefill", "queue", "price", "move"];
        decision.fill_sums("cost", terms, question.candidates, |candidate| {
            let uncached = candidate.uncached_tokens(&question.request) as f64;
            let prompt = question.request.prompt.tokens().as_f64();
            let price = self.usd_per_million.get(candidate.replica.index()).unwrap_or(&0.0);
            let moves = self.last.is_some_and(|last| last != candidate.replica);
            [
                candidate.rtt_ms(),
                self.prefill_ms_per_token * uncached,
                self.prefill_ms_per_token * candidate.queued_tokens as f64,
                self.ms_per_usd * price * prompt / 1e6,
                if moves { self.margin_ms } else { 0.0 },
            ]
        });
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn on_dispatched(&mut self, _request: &RoutingRequest<'_>, sent_to: &Signals) {
        self.last = Some(sent_to.replica);
    }

    // The rest is for decision logs: what a replay may take apart, and what it must put back.

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }

    fn memory(&self) -> Option<u64> {
        Some(self.last.map_or(0, |replica| u64::from(replica.0) + 1))
    }

    fn recall(&mut self, memory: u64) {
        self.last = memory.checked_sub(1).and_then(|id| u32::try_from(id).ok()).map(ReplicaId);
    }
}

fn thrifty() -> Thrifty {
    Thrifty {
        prefill_ms_per_token: 0.07,
        usd_per_million: vec![0.30, 0.10],
        ms_per_usd: 200_000.0,
        margin_ms: 40.0,
        last: None,
    }
}

/// Two replicas by hand: one near and dear, one far and cheap.
fn fleet(queued_near: u64, cached_far: u64) -> [Signals; 2] {
    let scraped = Some(Nanos(0));
    let near = Signals::unknown(ReplicaId(0), RegionId(0));
    let far = Signals::unknown(ReplicaId(1), RegionId(1));
    [
        Signals {
            rtt_ewma_ms: Some(20.0),
            queued_tokens: queued_near,
            scraped_at: scraped,
            ..near
        },
        Signals { rtt_ewma_ms: Some(100.0), cached_tokens: cached_far, scraped_at: scraped, ..far },
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut policy = thrifty();
    let prompt = BlockChain::from_tokens(&(0..1_000).collect::<Vec<u32>>(), 16)?;
    let situations = [
        ("both idle", fleet(0, 0)),
        ("a queue at the near one, less than the margin", fleet(1_000, 0)),
        ("the same queue, and the far one knows the prompt", fleet(1_000, 992)),
        ("the queue is gone", fleet(0, 992)),
    ];
    let mut decision = Decision::new();
    let mut cases = Vec::new();
    for (turn, (title, candidates)) in (0..).zip(&situations) {
        let request = RoutingRequest {
            id: RequestId { session: 1, turn },
            prompt: &prompt,
            max_tokens: Tokens(128),
            session: Some(1),
            hops: 0,
            residency: None,
        };
        let now = Nanos(1_000_000_000 * u64::from(turn));
        let question = Question::new(now, request, candidates, 0, None);
        policy.decide(&question, &mut decision);
        print(title, &decision);
        let row = gorgo_routing::log::LogLine::new(&question, &decision, &policy).to_row();
        cases.push(verify::Case::try_from(row)?);
        if let Target::Replica(replica) = decision.target
            && let Some(sent_to) = candidates.iter().find(|c| c.replica == replica)
        {
            policy.on_dispatched(&request, sent_to);
        }
    }
    let report = verify::verify(Box::new(thrifty()), cases)?;
    for effect in &report.effects {
        println!("{} of {} decisions change without {}", effect.changed, report.total, effect.name);
    }
    println!("replayed from their log: matched {} of {}", report.matched, report.total);
    Ok(())
}

fn print(title: &str, decision: &Decision) {
    println!("{title}: {:?}", decision.target);
    for (replica, score) in decision.scores().iter().enumerate() {
        let terms = decision.term_names.iter().zip(decision.terms(replica));
        let terms: Vec<String> = terms.map(|(name, ms)| format!("{name} {ms:.1}")).collect();
        println!("  replica {replica}: {score:6.1} ms = {}", terms.join(" + "));
    }
}
