//! Production baselines beyond least-load and prefix-trie.

use super::super::question::{Look, Panel, Question};
use super::{Scenario, chat_loads, long_loads, scenario};

/// The question.
pub(super) fn baselines() -> Question {
    let shape = |panel: Panel| Panel {
        axis: "share of the load that the fleet bears",
        drawn: &["ttft_p50_ms", "ttft_p95_ms", "e2e_p95_ms"],
        tabled: &["ttft_p50_ms", "ttft_p95_ms"],
        look: Look::Dots,
        ..panel
    };
    Question {
        id: "baselines",
        title: "Production baselines",
        asked: "Baselines beyond least-load and a prefix trie: what routers in production decide by, at 50, 70 and 90 % of \
                what the fleet bears.",
        panels: vec![
            Panel {
                points: long_loads(&[50, 70, 90]),
                ..shape(Panel::of(
                    "long",
                    "Long chats with much reuse",
                    scenario!("baselines_long.toml"),
                ))
            },
            Panel {
                points: chat_loads(&[50, 70, 90]),
                ..shape(Panel::of(
                    "chat",
                    "Worldwide chat (WildChat)",
                    scenario!("baselines_chat.toml"),
                ))
            },
        ],
        found: "\
On worldwide chat `gorgo-priced` answers first at every load: P50 {= chat | 70 % | gorgo-priced | ttft_p50_ms} at 70 %, {vs chat | 70 % | gorgo-priced | least-load | ttft_p50_ms} against least-load and {vs chat | 70 % | gorgo-priced | cache-aware | ttft_p50_ms} against SGLang's `cache-aware`.
On long chats GORGO loses to rules that know no network: at 90 % load the P95 of `gorgo-priced` is {vs long | 90 % | gorgo-priced | cache-aware | ttft_p95_ms} against `cache-aware`, {vs long | 90 % | gorgo-priced | llm-d | ttft_p95_ms} against `llm-d` and {vs long | 90 % | gorgo-priced | session-affinity | ttft_p95_ms} against plain session affinity, and `gorgo` with the published weights is {vs long | 90 % | gorgo | cache-aware | ttft_p95_ms} against `cache-aware`.
A bare longest match (`prefix-tree`) sends everybody who shares the template's 16 tokens to one replica and breaks down in many seeds; so does `gorgo-abg`, and a static preference of regions that spills (`nearest-spill`) is {vs long | 90 % | nearest-spill | gorgo-priced | ttft_p95_ms} against `gorgo-priced`.",
    }
}
