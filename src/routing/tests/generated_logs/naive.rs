//! Each rule again, the slow and obvious way, from the words of its source; nothing of the policies' code is used.
//!
//! A rule takes the question and the replica last dispatched to, and gives the index of the chosen candidate.

use gorgo_random::Draw;
use gorgo_routing::{Question, Signals};

/// A rule: the question, and the replica last dispatched to; `None` when nobody may be chosen.
pub type Naive = fn(&Question<'_>, Option<u32>) -> Option<usize>;

fn eligible(question: &Question<'_>) -> Vec<usize> {
    (0..question.candidates.len()).filter(|&i| question.candidates[i].eligible).collect()
}

/// One of `list` by a draw: the draw as a fraction of 2^64 times the length.
fn by_draw(list: &[usize], draw: u64) -> Option<usize> {
    let place = (u128::from(draw) * list.len() as u128) / (1u128 << 64);
    list.get(place as usize).copied()
}

/// Those of `list` with the smallest cost, in order.
fn smallest(list: &[usize], cost: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut best = f64::MAX;
    for &i in list {
        if cost(i) < best {
            best = cost(i);
        }
    }
    list.iter().copied().filter(|&i| cost(i) == best).collect()
}

fn first(list: &[usize]) -> Option<usize> {
    list.first().copied()
}

fn rtt(s: &Signals) -> f64 {
    match (s.rtt_ewma_ms, s.scrape_latency_ms) {
        (Some(rtt), _) => rtt,
        (None, Some(scrape)) => scrape,
        (None, None) => 0.0,
    }
}

fn prompt_tokens(question: &Question<'_>) -> u64 {
    question.request.prompt.tokens().get()
}

fn uncached(question: &Question<'_>, i: usize) -> f64 {
    let missing = prompt_tokens(question) as i64 - question.candidates[i].cached_tokens as i64;
    missing.max(0) as f64
}

pub fn round_robin(question: &Question<'_>, last: Option<u32>) -> Option<usize> {
    // The generated fleets number their replicas 0, 1, ..., but differ in size from one decision to the next.
    let n = question.candidates.len() as u32;
    let start = match last {
        Some(last) if last + 1 < n => last + 1,
        _ => 0,
    };
    (start..start + n).map(|i| (i % n) as usize).find(|&i| question.candidates[i].eligible)
}

pub fn random(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    by_draw(&eligible(question), question.draw)
}

fn two_choices(question: &Question<'_>, load: impl Fn(&Signals) -> u64) -> Option<usize> {
    let mut list = eligible(question);
    let draw = Draw::from_bits(question.draw);
    let one = by_draw(&list, draw.bits())?;
    list.retain(|&i| i != one);
    let Some(two) = by_draw(&list, draw.next().bits()) else { return Some(one) };
    let (low, high) = (one.min(two), one.max(two));
    let (a, b) = (load(&question.candidates[low]), load(&question.candidates[high]));
    if a == b {
        by_draw(&[low, high], draw.next().next().bits())
    } else {
        Some(if a < b { low } else { high })
    }
}

pub fn two_choices_by_in_flight(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    two_choices(question, |s| s.in_flight_requests.into())
}

pub fn two_choices_by_requests(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    two_choices(question, |s| u64::from(s.in_flight_requests + s.queued_requests))
}

pub fn two_choices_by_tokens(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    two_choices(question, |s| s.used_tokens + s.queued_tokens)
}

fn combined_load(s: &Signals) -> u64 {
    u64::from(s.running_requests) + u64::from(s.queued_requests) + s.used_tokens + s.queued_tokens
}

pub fn two_choices_by_combined_load(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    two_choices(question, combined_load)
}

fn requests(s: &Signals) -> u32 {
    if s.running_requests > s.in_flight_requests {
        s.running_requests
    } else {
        s.in_flight_requests
    }
}

pub fn least_request(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let tied = smallest(&eligible(question), |i| requests(&question.candidates[i]).into());
    by_draw(&tied, question.draw)
}

pub fn least_load(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let tied = smallest(&eligible(question), |i| combined_load(&question.candidates[i]) as f64);
    by_draw(&tied, question.draw)
}

/// `hash((word,))` in Python, in arithmetic modulo 2^64 written out.
fn python_hash_of_one(word: u64) -> i64 {
    const M: u128 = 1 << 64;
    let word = u128::from(word) % ((1 << 61) - 1);
    let mut acc = (2_870_177_450_012_600_261 + word * 14_029_467_366_897_019_727) % M;
    acc = ((acc << 31) + (acc >> 33)) % M;
    acc = (acc * 11_400_714_785_074_694_791) % M;
    acc = (acc + (1 ^ 2_870_177_450_012_600_261 ^ 3_527_539)) % M;
    if acc == M - 1 { 1_546_275_796 } else { acc as u64 as i64 }
}

pub fn session_affinity(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    // The generated prompts are shorter than 256 tokens, so all of the prompt is its own key.
    let prompt = question.request.prompt;
    let key = question.request.session.unwrap_or_else(|| prompt.ids().last().unwrap().0);
    let n = question.candidates.len() as i64;
    let home = ((python_hash_of_one(key) % n) + n) % n;
    (home..home + n).map(|i| (i % n) as usize).find(|&i| question.candidates[i].eligible)
}

/// Is `x` at most the mean plus `factor` sample deviations of `all`? In whole numbers, without a rounding.
fn within(x: u32, all: &[u32], factor: i128) -> bool {
    let n = all.len() as i128;
    let sum: i128 = all.iter().map(|&v| i128::from(v)).sum();
    let above = n * i128::from(x) - sum;
    if above <= 0 || n < 2 {
        return above <= 0;
    }
    let squares: i128 = all.iter().map(|&v| i128::from(v) * i128::from(v)).sum();
    above * above * (n - 1) <= factor * factor * n * (n * squares - sum * sum)
}

fn matched_prefix(question: &Question<'_>, imbalance: u32, factor: i128) -> Option<usize> {
    let list = eligible(question);
    let running = |i: usize| question.candidates[i].running_requests;
    let all: Vec<u32> = list.iter().map(|&i| running(i)).collect();
    let (most, fewest) = (all.iter().max()?, all.iter().min()?);
    if most - fewest > imbalance {
        return least_request(question, None);
    }
    let best = list.iter().map(|&i| question.candidates[i].cached_tokens).max()?;
    if best == 0 {
        return least_request(question, None);
    }
    let matched: Vec<usize> =
        list.into_iter().filter(|&i| question.candidates[i].cached_tokens == best).collect();
    let calm: Vec<usize> =
        matched.iter().copied().filter(|&i| within(running(i), &all, factor)).collect();
    let pool = if calm.is_empty() { matched } else { calm };
    by_draw(&smallest(&pool, |i| running(i).into()), question.draw)
}

pub fn prefix_cache(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    matched_prefix(question, 8, 2)
}

pub fn prefix_cache_one_deviation(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    matched_prefix(question, 100, 1)
}

/// AIBrix: matches from the longest to the shortest, the first with a replica within one deviation; else least-request.
pub fn prefix_cache_of_aibrix(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let list = eligible(question);
    let running = |i: usize| question.candidates[i].running_requests;
    let cached = |i: usize| question.candidates[i].cached_tokens;
    let all: Vec<u32> = list.iter().map(|&i| running(i)).collect();
    let mut lengths: Vec<u64> = list.iter().map(|&i| cached(i)).filter(|&n| n > 0).collect();
    lengths.sort_unstable();
    for length in lengths.into_iter().rev() {
        let calm = |&i: &usize| cached(i) == length && within(running(i), &all, 1);
        let pool: Vec<usize> = list.iter().copied().filter(calm).collect();
        if !pool.is_empty() {
            return by_draw(&smallest(&pool, |i| running(i).into()), question.draw);
        }
    }
    least_request(question, None)
}

pub fn prefix_tree(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let list = eligible(question);
    let best = list.iter().map(|&i| question.candidates[i].cached_tokens).max()?;
    let pool: Vec<usize> =
        list.into_iter().filter(|&i| question.candidates[i].cached_tokens == best).collect();
    let load = |i: usize| {
        let s = &question.candidates[i];
        f64::from(s.in_flight_requests + s.queued_requests)
    };
    first(&smallest(&pool, load))
}

/// SGLang's router: share of the prompt, absolute and relative imbalance.
fn cache_aware_of(question: &Question<'_>, share: f64, abs: u32, rel: f64) -> Option<usize> {
    let list = eligible(question);
    let load = |i: usize| question.candidates[i].in_flight_requests;
    let most = list.iter().map(|&i| load(i)).max()?;
    let fewest = list.iter().map(|&i| load(i)).min()?;
    let least_load = |pool: &[usize]| by_draw(&smallest(pool, |i| load(i).into()), question.draw);
    if most - fewest > abs && f64::from(most) > rel * f64::from(fewest) {
        return least_load(&list);
    }
    let cached = |i: usize| question.candidates[i].cached_tokens;
    let best = list.iter().map(|&i| cached(i)).max()?;
    if best as f64 > share * prompt_tokens(question) as f64 {
        let pool: Vec<usize> = list.into_iter().filter(|&i| cached(i) == best).collect();
        return least_load(&pool);
    }
    least_load(&list)
}

pub fn cache_aware(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    cache_aware_of(question, 0.3, 64, 1.5)
}

pub fn cache_aware_strict(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    cache_aware_of(question, 0.5, 3, 1.1)
}

/// llm-d: the largest weighted sum of scores between 0 and 1.
pub fn llm_d(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let list = eligible(question);
    let waiting = |i: usize| f64::from(question.candidates[i].queued_requests);
    let most = list.iter().map(|&i| waiting(i)).fold(f64::MIN, f64::max);
    let fewest = list.iter().map(|&i| waiting(i)).fold(f64::MAX, f64::min);
    let score = |i: usize| {
        let s = &question.candidates[i];
        let prompt = prompt_tokens(question);
        let prefix = s.cached_tokens.min(prompt) as f64 / prompt as f64;
        let queue = if most > fewest { (waiting(i) - fewest) / (most - fewest) } else { 0.0 };
        let memory =
            if s.kv_pool_tokens > 0 { s.used_tokens as f64 / s.kv_pool_tokens as f64 } else { 0.0 };
        2.0 * (1.0 - prefix) + queue + memory
    };
    by_draw(&smallest(&list, score), question.draw)
}

fn weighted(question: &Question<'_>, weights: impl Fn(usize) -> [f64; 4]) -> Option<usize> {
    let score = |i: usize| {
        let [w_rtt, w_prefill, w_queue, w_used] = weights(i);
        let s = &question.candidates[i];
        w_rtt * rtt(s)
            + w_prefill * uncached(question, i)
            + w_queue * s.queued_tokens as f64
            + w_used * s.used_tokens as f64
    };
    first(&smallest(&eligible(question), score))
}

pub fn gorgo(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    weighted(question, |_| [0.276, 1.0, 0.5, 0.0])
}

pub fn gorgo_uncached_queue(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let score = |i: usize| {
        let s = &question.candidates[i];
        0.276 * rtt(s) + uncached(question, i) + 0.5 * s.queued_uncached_tokens as f64
    };
    first(&smallest(&eligible(question), score))
}

pub fn gorgo_static(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    weighted(question, |_| [1.0, 70.0, 60.0, 60.0])
}

pub fn gorgo_with_overrides(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    weighted(question, |i| match i {
        1 => [0.0, 1.0, 0.5, 2.0],
        4 => [0.276, 3.5, 0.125, 0.25],
        _ => [0.276, 1.0, 0.5, 0.25],
    })
}

fn proxy_cost(question: &Question<'_>, i: usize, gated: bool) -> f64 {
    let s = &question.candidates[i];
    let run = s.queued_tokens;
    let each = if s.in_flight_requests == 0 { 500 } else { run / u64::from(s.in_flight_requests) };
    let queued = if gated { 0 } else { u64::from(s.queued_requests) * each };
    let latency = if gated { rtt(s) } else { rtt(s).floor() };
    let mut cost = run as f64 * 0.094 * 0.5;
    cost += queued as f64 * 0.094;
    cost += prompt_tokens(question) as f64 * 0.094;
    cost += latency;
    // The match is taken off the whole sum, queue and network included, so a cost may fall below the latency.
    cost -= s.cached_tokens.min(prompt_tokens(question)) as f64 * 0.094;
    cost
}

fn cheapest_server(question: &Question<'_>, gated: bool, threshold: f64) -> Option<usize> {
    let has_memory = |s: &Signals| {
        s.kv_pool_tokens == 0 || (s.used_tokens as f64 / s.kv_pool_tokens as f64) < threshold
    };
    let list: Vec<usize> =
        eligible(question).into_iter().filter(|&i| has_memory(&question.candidates[i])).collect();
    first(&smallest(&list, |i| proxy_cost(question, i, gated)))
}

pub fn gorgo_proxy(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    cheapest_server(question, false, 0.95)
}

pub fn gorgo_proxy_gated(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    cheapest_server(question, true, 0.5)
}

/// Waiting here against forwarding, as the balancer's code walks: the own region first, then the peers.
fn wait_or_forward(question: &Question<'_>, quirks: bool) -> Option<usize> {
    let home = question.home.expect("a region's router");
    let all = eligible(question);
    let (here, peers): (Vec<usize>, Vec<usize>) =
        all.into_iter().partition(|&i| question.candidates[i].region == home.region);
    let missing = |i: usize| {
        let cached = question.candidates[i].cached_tokens;
        prompt_tokens(question).saturating_sub(cached)
    };
    let local = |i: usize| {
        let own = match missing(i) {
            0 if quirks => prompt_tokens(question),
            tokens => tokens,
        };
        let running = question.candidates[i].queued_tokens as f64 * 0.094 * 0.5;
        running + 0.094 * home.waiting_tokens as f64 + 0.094 * own as f64
    };
    let (most, threshold) = if quirks { (10, 0.95) } else { (100, 0.5) };
    let open: Vec<usize> = peers
        .into_iter()
        .filter(|&i| {
            let s = &question.candidates[i];
            let busy = s.running_requests + s.queued_requests >= most;
            let pool = s.kv_pool_tokens;
            !busy && (pool == 0 || (s.used_tokens as f64 / pool as f64) < threshold)
        })
        .collect();
    let matched: Vec<usize> =
        open.iter().copied().filter(|&i| question.candidates[i].cached_tokens > 0).collect();
    let open = if quirks && !matched.is_empty() { matched } else { open };
    let remote = |i: usize| {
        let s = &question.candidates[i];
        let way = match s.scrape_latency_ms {
            Some(ms) if quirks => ms.floor(),
            None if quirks => rtt(s).floor(),
            _ => rtt(s),
        };
        way + 0.094 * missing(i) as f64
    };
    let stay = first(&smallest(&here, local));
    let go = first(&smallest(&open, remote));
    match (stay, go) {
        (Some(stay), Some(go)) => Some(if remote(go) < local(stay) { go } else { stay }),
        (stay, go) => stay.or(go),
    }
}

pub fn gorgo_regional(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    wait_or_forward(question, true)
}

pub fn gorgo_regional_mended(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    wait_or_forward(question, false)
}

pub fn gorgo_abg(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    let bounded = |share: f64| share.clamp(0.05, 1.0);
    let score = |i: usize| {
        let s = &question.candidates[i];
        let hit = s.cached_tokens as f64 / prompt_tokens(question) as f64;
        let free_slots = 1.0 - f64::from(requests(s)) / 10.0;
        let free_memory = match s.kv_pool_tokens {
            0 => 1.0,
            pool => 1.0 - s.used_tokens as f64 / pool as f64,
        };
        let free = if free_memory < free_slots { free_memory } else { free_slots };
        1.0 * rtt(s) + 10.0 / bounded(hit) + 10.0 / bounded(free)
    };
    first(&smallest(&eligible(question), score))
}

pub fn nearest(question: &Question<'_>, _: Option<u32>) -> Option<usize> {
    first(&smallest(&eligible(question), |i| rtt(&question.candidates[i])))
}
