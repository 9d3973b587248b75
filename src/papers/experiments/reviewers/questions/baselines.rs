//! Production baselines beyond least-load and prefix-trie.

use super::super::question::{Look, Panel, Question};
use super::{Scenario, chat_loads, long_loads, scenario};

/// The question.
pub(super) fn baselines() -> Question {
    let shape = |panel: Panel| Panel {
        axis: "share of the load that the fleet bears",
        drawn: &["ttft_p50_ms", "ttft_p95_ms", "e2e_p95_ms"],
        tabled: &["ttft_p50_ms", "ttft_p95_ms"],
        undrawn: &["gorgo-abg"],
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
On worldwide chat `gorgo-priced` has the lowest P95 at every load, at 70 % {= chat | 70 % | gorgo-priced | ttft_p95_ms}, {vs chat | 70 % | gorgo-priced | least-load | ttft_p95_ms} against least-load and {vs chat | 70 % | gorgo-priced | cache-aware | ttft_p95_ms} against SGLang's `cache-aware`; in P50 only a static preference of regions that spills over (`nearest-spill`) is as fast ({vs chat | 70 % | nearest-spill | gorgo-priced | ttft_p50_ms}), and its P95 is {vs chat | 90 % | nearest-spill | gorgo-priced | ttft_p95_ms} at 90 %.
On long chats GORGO loses to rules that know no network: at 90 % load the P95 of `gorgo-priced` is {vs long | 90 % | gorgo-priced | cache-aware | ttft_p95_ms} against `cache-aware`, {vs long | 90 % | gorgo-priced | llm-d | ttft_p95_ms} against `llm-d` and {vs long | 90 % | gorgo-priced | session-affinity | ttft_p95_ms} against plain session affinity, and `gorgo` with the published weights is {vs long | 90 % | gorgo | cache-aware | ttft_p95_ms} against `cache-aware`.
On long chats a bare longest match (`prefix-tree`) sends everybody who shares the template's 16 tokens to one replica until that is lost: in some seeds its P95 is beyond 20 s, in the others as good as any. `gorgo-abg` (a summary article's form, constants of this project) breaks down on both and is left out of the pictures.",
        claims: &[
            "lowest chat | * | gorgo-priced | ttft_p95_ms",
            "about chat | 70 % | nearest-spill | gorgo-priced | ttft_p50_ms",
            "higher chat | 90 % | nearest-spill | gorgo-priced | ttft_p95_ms",
            "higher long | 90 % | gorgo-priced | cache-aware | ttft_p95_ms",
            "higher long | 90 % | gorgo-priced | llm-d | ttft_p95_ms",
            "higher long | 90 % | gorgo-priced | session-affinity | ttft_p95_ms",
            "higher long | 90 % | gorgo | cache-aware | ttft_p95_ms",
            "parts long | 90 % | prefix-tree | ttft_p95_ms | 20000",
        ],
    }
}
