//! Generated decision logs in which every term, rule and tie of every policy decides many times.
//!
//! A recorded log proves only the terms that happened to decide in it. Here the signals are random and small, so that
//! everything collides, and for every policy: each decision equals that of a naive re-statement of the rule
//! (`naive.rs`, written from the sources' words and using none of the policies' code); the log, written to JSON and read
//! back, gives every decision and every score again; and the log proves each term, which is asserted, not hoped.

mod naive;

use gorgo_random::{Draw, Key};
use gorgo_routing::log::{LogLine, LogRow};
use gorgo_routing::verify::{Case, VerifyReport, verify};
use gorgo_routing::{Decision, Home, Question, RoutingRequest, Signals, Target, registry};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use naive::Naive;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DECISIONS: u64 = 4_000;

/// A stream of small numbers for one case.
struct Dice(Draw);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.next();
        self.0.below(n)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A count: mostly tiny, so that counts collide, in some cases large.
    fn count(&mut self, scale: u64) -> u64 {
        if self.chance(30) { 0 } else { self.below(4) * scale }
    }
}

/// A question's parts: the request and what is known of the replicas.
struct Situation {
    id: RequestId,
    now: Nanos,
    prompt: BlockChain,
    session: Option<u64>,
    candidates: Vec<Signals>,
    draw: u64,
    home: Home,
}

impl Situation {
    fn generate(key: Key, ordinal: u64) -> Self {
        let mut dice = Dice(key.word(ordinal).draw());
        let tokens = 1 + dice.below(40);
        let raw = (0..tokens.div_ceil(16)).map(|_| dice.below(3));
        let prompt = BlockChain::from_raw_ids(raw.collect::<Vec<_>>(), Tokens(tokens), 16).unwrap();
        let scales: Vec<u64> = (0..6).map(|_| [0, 1, 1, 7, 1000][dice.below(5) as usize]).collect();
        let replicas = 1 + dice.below(12);
        let candidate = |i| signals(&mut dice, &scales, i, tokens);
        let candidates = (0..replicas as u32).map(candidate).collect();
        Self {
            id: RequestId { session: ordinal / 3, turn: (ordinal % 3) as u32 },
            now: Nanos(1_000_000_000 * ordinal),
            prompt,
            session: dice.chance(50).then(|| dice.below(20)),
            candidates,
            draw: dice.0.next().bits(),
            home: Home {
                region: RegionId(ordinal as u32 % 4),
                waiting_tokens: (ordinal / 4 % 3) * 50,
                full: false,
            },
        }
    }

    fn question(&self, regional: bool) -> Question<'_> {
        let request = RoutingRequest {
            id: self.id,
            prompt: &self.prompt,
            max_tokens: Tokens(64),
            session: self.session,
            hops: 0,
            residency: None,
        };
        let home = regional.then_some(self.home);
        Question::new(self.now, request, &self.candidates, self.draw, home)
    }
}

fn signals(dice: &mut Dice, scales: &[u64], i: u32, tokens: u64) -> Signals {
    let busy = if dice.chance(10) { 8 } else { 0 };
    let rtt_scale = scales[0] as f64 * 0.75;
    let mut signals = Signals {
        replica: ReplicaId(i),
        region: RegionId(i % 3),
        rtt_ewma_ms: dice.chance(70).then(|| dice.below(4) as f64 * rtt_scale),
        scrape_latency_ms: dice.chance(80).then(|| dice.below(4) as f64 * rtt_scale),
        rtt_at: dice.chance(50).then_some(Nanos(17)),
        running_requests: (busy + dice.count(scales[1].min(1))) as u32,
        queued_requests: dice.count(scales[2]) as u32,
        used_tokens: dice.count(scales[3]),
        kv_pool_tokens: [0, 2, 100, 3000][dice.below(4) as usize],
        scraped_at: Some(Nanos(3)),
        in_flight_requests: dice.count(scales[4].min(7)) as u32,
        queued_tokens: dice.count(scales[5]),
        queued_uncached_tokens: 0,
        cached_tokens: if dice.chance(50) { 0 } else { dice.below(4) * 16 },
        eligible: dice.chance(85) || tokens == 7,
        zone: None,
        weight: 1,
    };
    // Of what is queued a third, two thirds or all, so that no other number is drawn for it.
    let thirds = signals.queued_tokens.saturating_mul(u64::from(i) + 1) / 3;
    signals.queued_uncached_tokens = thirds.min(signals.queued_tokens);
    signals
}

/// What a log must show for a policy.
struct Proof<'a> {
    policy: &'a str,
    parameters: Value,
    naive: Naive,
    /// Terms or signals, each of which must have decided at least 40 times.
    effects: &'a [&'a str],
    /// Rules, each of which must have decided at least 25 times, and no others.
    rules: &'a [&'a str],
    /// At least so many ties.
    ties: u64,
}

impl Proof<'_> {
    fn run(&self) {
        let mut policy = registry::build(self.policy, &self.parameters).unwrap();
        assert_eq!(policy.name(), self.policy);
        let mut decision = Decision::new();
        let mut last = None;
        let mut rules = BTreeMap::<&str, u64>::new();
        let mut log = Vec::new();
        for ordinal in 0..DECISIONS {
            let situation = Situation::generate(Key::new(11), ordinal);
            let question = situation.question(self.policy == "gorgo-regional");
            policy.decide(&question, &mut decision);
            let wanted = (self.naive)(&question, last)
                .map_or(Target::Queue, |i| Target::Replica(question.candidates[i].replica));
            assert_eq!(decision.target, wanted, "{} {ordinal}: {decision:?}", self.policy);
            self.assert_tied(&decision, &situation.candidates);
            *rules.entry(decision.rule).or_default() += 1;
            log.push(serde_json::to_string(&LogLine::new(&question, &decision, &*policy)).unwrap());
            // One in five is sent elsewhere than decided, as the measurement of regret does.
            let all = question.candidates;
            let forced = &all[(ordinal % all.len() as u64) as usize];
            let sent = match decision.target {
                Target::Replica(replica) if ordinal % 5 != 0 => {
                    all.iter().find(|c| c.replica == replica).unwrap()
                }
                _ => forced,
            };
            policy.on_dispatched(&question.request, sent);
            last = Some(sent.replica.0);
        }
        self.assert_rules(&rules);
        self.assert_proven(&self.replay(&log));
    }

    /// As many are tied as share the best score of those that may be chosen.
    fn assert_tied(&self, decision: &Decision, candidates: &[Signals]) {
        let scored = candidates.iter().zip(decision.scores());
        let mut open: Vec<f64> = scored
            .filter(|(c, score)| c.eligible && score.is_finite())
            .map(|(_, &score)| score)
            .collect();
        open.sort_by(f64::total_cmp);
        let tied = open.iter().filter(|&&score| score == open[0]).count();
        assert_eq!(decision.tied as usize, tied, "{}: {decision:?}", self.policy);
    }

    fn replay(&self, log: &[String]) -> VerifyReport {
        let rows = log.iter().map(|line| serde_json::from_str::<LogRow>(line).unwrap());
        let cases = rows.map(|row| Case::try_from(row).unwrap());
        verify(registry::build(self.policy, &self.parameters).unwrap(), cases).unwrap()
    }

    fn assert_rules(&self, rules: &BTreeMap<&str, u64>) {
        for rule in self.rules {
            let times = rules.get(rule).copied().unwrap_or(0);
            assert!(times >= 25, "{}: rule {rule} decided {times} times", self.policy);
        }
        assert_eq!(rules.len(), self.rules.len(), "{}: {rules:?}", self.policy);
    }

    fn assert_proven(&self, report: &VerifyReport) {
        let name = self.policy;
        println!("{name}: {} ties, {:?}", report.ties, report.effects);
        assert_eq!((report.matched, report.total), (DECISIONS, DECISIONS), "{name}");
        assert_eq!((report.scored, report.scores_changed), (DECISIONS, 0), "{name}");
        assert_eq!(report.matched_by_tie, 0, "{name}: the log has its draws");
        assert!(report.ties >= self.ties, "{name}: {} ties", report.ties);
        for wanted in self.effects {
            let effect = report.effects.iter().find(|effect| effect.name == *wanted);
            let changed = effect.map_or(0, |effect| effect.changed);
            assert!(changed >= 40, "{name}: {wanted} decided {changed} times");
        }
        // A term or signal that is not named must be one that cannot decide, but by the rounding of sums: the prompt's
        // own prefill in gorgo-proxy is the same for all.
        for effect in report.effects.iter().filter(|effect| !self.effects.contains(&effect.name)) {
            assert!(effect.changed <= 2, "{name}: {effect:?}");
        }
    }
}

#[test]
fn round_robin() {
    let (policy, naive) = ("round-robin", naive::round_robin as Naive);
    Proof { policy, parameters: json!({}), naive, effects: &["steps"], rules: &["turn"], ties: 0 }
        .run();
}

#[test]
fn random() {
    let (policy, naive) = ("random", naive::random as Naive);
    Proof { policy, parameters: json!({}), naive, effects: &[], rules: &["random"], ties: 2000 }
        .run();
}

#[test]
fn power_of_two() {
    let proof = |load: &str, naive, effects| Proof {
        policy: "power-of-two",
        parameters: json!({ "load": load }),
        naive,
        effects,
        rules: &["two-choices", "alone"],
        ties: 200,
    };
    proof("in-flight", naive::two_choices_by_in_flight, &["in_flight_requests"]).run();
    proof("requests", naive::two_choices_by_requests, &["in_flight_requests", "queued_requests"])
        .run();
    proof("tokens", naive::two_choices_by_tokens, &["used_tokens", "queued_tokens"]).run();
    let all = &["running_requests", "queued_requests", "used_tokens", "queued_tokens"];
    proof("combined", naive::two_choices_by_combined_load, all).run();
}

#[test]
fn least_request() {
    Proof {
        policy: "least-request",
        parameters: json!({}),
        naive: naive::least_request,
        effects: &["running_requests", "in_flight_requests"],
        rules: &["requests"],
        ties: 200,
    }
    .run();
}

#[test]
fn least_load() {
    Proof {
        policy: "least-load",
        parameters: json!({}),
        naive: naive::least_load,
        effects: &["running_requests", "queued_requests", "used_tokens", "queued_tokens"],
        rules: &["load"],
        ties: 200,
    }
    .run();
}

#[test]
fn session_affinity() {
    Proof {
        policy: "session-affinity",
        parameters: json!({}),
        naive: naive::session_affinity,
        effects: &["steps"],
        rules: &["session", "prefix"],
        ties: 0,
    }
    .run();
}

#[test]
fn prefix_cache() {
    let effects = &["running_requests", "in_flight_requests", "cached_tokens"];
    let rules = &["imbalanced", "no-match", "match", "match-overloaded"];
    let policy = "prefix-cache";
    let (parameters, naive) = (json!({}), naive::prefix_cache as Naive);
    Proof { policy, parameters, naive, effects, rules, ties: 200 }.run();
    let parameters = json!({ "imbalance": 100, "std_factor": 1 });
    let naive = naive::prefix_cache_one_deviation as Naive;
    Proof { policy, parameters, naive, effects, rules: &rules[1..], ties: 200 }.run();
    let parameters = json!({ "imbalance": 100, "std_factor": 1, "shorter_matches": true });
    let naive = naive::prefix_cache_of_aibrix;
    Proof { policy, parameters, naive, effects, rules: &rules[1..], ties: 200 }.run();
}

#[test]
fn prefix_tree() {
    Proof {
        policy: "prefix-tree",
        parameters: json!({}),
        naive: naive::prefix_tree,
        effects: &["queued_requests", "in_flight_requests", "cached_tokens"],
        rules: &["match", "fallback"],
        ties: 200,
    }
    .run();
}

#[test]
fn cache_aware() {
    let proof = |parameters, naive, rules| Proof {
        policy: "cache-aware",
        parameters,
        naive,
        effects: &["in_flight_requests", "cached_tokens"],
        rules,
        ties: 200,
    };
    proof(json!({}), naive::cache_aware, &["no-match", "match"]).run();
    let strict = json!({ "cache_threshold": 0.5, "balance_abs": 3, "balance_rel": 1.1 });
    proof(strict, naive::cache_aware_strict, &["imbalanced", "no-match", "match"]).run();
}

#[test]
fn llm_d() {
    Proof {
        policy: "llm-d",
        parameters: json!({}),
        naive: naive::llm_d,
        effects: &["prefix", "queue", "kv"],
        rules: &["score"],
        ties: 200,
    }
    .run();
}

#[test]
fn gorgo() {
    let proof = |parameters, naive, effects| Proof {
        policy: "gorgo",
        parameters,
        naive,
        effects,
        rules: &["score"],
        ties: 200,
    };
    proof(json!({}), naive::gorgo, &["rtt", "prefill", "queue"]).run();
    let weights = json!({ "w_rtt": 1, "w_prefill": 70, "w_queue": 60, "w_used": 60 });
    proof(weights, naive::gorgo_static, &["rtt", "prefill", "queue", "used"]).run();
    let own = json!({ "w_used": 0.25, "replicas": {
        "1": { "w_rtt": 0, "w_used": 2 }, "4": { "w_prefill": 3.5, "w_queue": 0.125 } } });
    proof(own, naive::gorgo_with_overrides, &["rtt", "prefill", "queue", "used"]).run();
    let uncached = json!({ "queue_uncached_only": true });
    proof(uncached, naive::gorgo_uncached_queue, &["rtt", "prefill", "queue"]).run();
}

#[test]
fn gorgo_proxy() {
    let effects = &["running", "waiting", "rtt", "matched"];
    let proof = |parameters, naive, effects, ties| Proof {
        policy: "gorgo-proxy",
        parameters,
        naive,
        effects,
        rules: &["cost"],
        ties,
    };
    proof(json!({}), naive::gorgo_proxy, effects, 200).run();
    let later = json!({ "whole_ms": false, "count_waiting": false, "kv_threshold": 0.5 });
    let effects = &["running", "rtt", "matched"];
    proof(later, naive::gorgo_proxy_gated, effects, 200).run();
}

#[test]
fn gorgo_regional() {
    let proof = |parameters, naive, effects| Proof {
        policy: "gorgo-regional",
        parameters,
        naive,
        effects,
        rules: &["cost"],
        ties: 200,
    };
    let all = &["rtt", "running", "waiting", "prefill"];
    proof(json!({}), naive::gorgo_regional, all).run();
    let mended = json!({ "matched_only": false, "last_scrape": false, "whole_ms": false,
        "exact_repeat_costs_all": false, "max_requests": 100, "kv_threshold": 0.5 });
    proof(mended, naive::gorgo_regional_mended, all).run();
}

#[test]
fn gorgo_abg() {
    Proof {
        policy: "gorgo-abg",
        parameters: json!({}),
        naive: naive::gorgo_abg,
        effects: &["latency", "hit", "availability"],
        rules: &["score"],
        ties: 200,
    }
    .run();
}

#[test]
fn nearest() {
    Proof {
        policy: "nearest",
        parameters: json!({}),
        naive: naive::nearest,
        effects: &["rtt_ms"],
        rules: &["rtt"],
        ties: 200,
    }
    .run();
}

#[test]
fn every_policy_is_proven() {
    let source = include_str!("main.rs");
    for name in registry::names() {
        let quoted = format!("\"{name}\"");
        assert!(source.contains(&quoted), "no generated log for {name}");
    }
}
