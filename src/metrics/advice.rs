//! Warnings that teach: what in a run makes its numbers less than they seem, why, and what to do.
//!
//! Two of them look at the order of the requests and need the records: [`saturated`] and [`cold_start`]. Each has a
//! threshold that a sound run rarely crosses by chance; how rarely is said where it stands and held by tests. Nothing
//! here changes a number.

use crate::columns::{Columns, Row};
use crate::{ClientHeld, Summary, Window};
use gorgo_types::Nanos;

/// Fewest requests that a P99 should be told of: ten lie beyond it then, and its 95 % confidence interval goes from
/// the 98.4th to the 99.6th percentile (binomial, normal approximation).
const P99_SAMPLES: u64 = 1_000;

/// Share of requests that may wait in the client before one must hear of it.
const WAITED_SHARE: f64 = 0.01;

/// Parts that a run is cut into, by time or by number.
const PARTS: usize = 10;

/// Fewest requests in half of the load for a word about saturation.
const SATURATION_REQUESTS: u64 = 100;

/// Share of the requests of the second half that must have piled up.
const PILED_UP_SHARE: f64 = 0.05;

/// Kendall's tau of the parts' backlogs over time from which on they are said to grow: for ten parts in chance order
/// it is reached once in 120 runs, and the share above must be reached as well.
const GROWING_TAU: f64 = 0.6;

/// Fewest measured requests for a word about the warm-up.
const WARM_UP_REQUESTS: usize = 200;

/// Prediction interval of the first tenth's mean TTFT from the nine others', in their standard deviations: a normal
/// tenth falls outside once in 250 runs (Student's t, 8 degrees of freedom).
const WARM_UP_DEVIATIONS: f64 = 4.0;

/// And it must matter: this share of the others' mean.
const WARM_UP_SHARE: f64 = 0.1;

/// All that there is to say. `columns` are those of the whole run, where its records are kept.
pub(crate) fn of(
    summary: &Summary,
    columns: Option<Columns>,
    window: Window,
    end: Nanos,
) -> Vec<String> {
    let saturated = columns.as_ref().and_then(|columns| saturated(&columns.rows, window, end));
    // A growing queue makes the first requests fast: that is not a matter of the warm-up.
    let cold = match (&saturated, columns) {
        (None, Some(columns)) => cold_start(columns.rows),
        _ => None,
    };
    let few = few_samples(summary.window.measured);
    let hidden = summary.client.as_ref().and_then(hidden_wait);
    [saturated, cold, hidden, few].into_iter().flatten().collect()
}

/// Too few requests for a P99.
fn few_samples(measured: u64) -> Option<String> {
    (1..P99_SAMPLES).contains(&measured).then(|| {
        format!(
            "{measured} requests were measured: a P99 rests on the slowest {} of them and moves from seed to seed; \
             measure {P99_SAMPLES} or more, so that ten lie beyond it (or read P50 and P90, or repeat with other seeds)",
            measured / 100 + 1
        )
    })
}

/// The client held requests back.
fn hidden_wait(client: &ClientHeld) -> Option<String> {
    let share = client.waited_fraction.filter(|share| *share > WAITED_SHARE)?;
    let wait = client.queue_ms.p99.map_or_else(String::new, |p99| format!(" (P99 {p99:.0} ms)"));
    let unsent = match client.never_sent {
        0 => String::new(),
        unsent => format!(", and {unsent} were never sent"),
    };
    Some(format!(
        "{:.1} % of the requests waited in the client before they were sent{wait}{unsent}: TTFT and E2E include it, a \
         load generator that starts its clock at the send does not see it; give [client] more workers, or read \
         ttft_from_send_ms for the fleet alone",
        100.0 * share
    ))
}

/// Requests came faster than they ended, to the end of the load.
///
/// The load is cut into ten parts of equal time. Saturated is a run in whose second half at least
/// [`PILED_UP_SHARE`] of the requests that came piled up, and whose mean backlog (scheduled, not yet ended) grew from
/// part to part, by Kendall's tau. In a steady state the backlog at the half and at the end are alike but for chance;
/// a closed loop's cannot grow.
fn saturated(rows: &[Row], window: Window, end: Nanos) -> Option<String> {
    let scheduled = rows.iter().map(|row| row.scheduled);
    let last = scheduled.filter(|at| window.contains(*at)).max()?;
    let (from, to) = (window.from, last);
    let part_ns = to.saturating_sub(from).0 / PARTS as u64;
    if part_ns == 0 {
        return None;
    }
    let half = Nanos(from.0 + part_ns * (PARTS as u64 / 2));
    let (mut came, mut ended) = (0_u64, 0_u64);
    let mut backlog_ns = [0_u128; PARTS];
    for row in rows {
        let finished = row.finished().unwrap_or(end);
        came += u64::from(row.scheduled > half && row.scheduled <= to);
        ended += u64::from(row.finished().is_some() && finished > half && finished <= to);
        let first = (row.scheduled.saturating_sub(from).0 / part_ns) as usize;
        for (part, sum_ns) in backlog_ns.iter_mut().enumerate().skip(first) {
            let begin = from.0 + part_ns * part as u64;
            if begin >= finished.0 {
                break;
            }
            let (a, b) = (row.scheduled.0.max(begin), finished.0.min(begin + part_ns));
            *sum_ns += u128::from(b.saturating_sub(a));
        }
    }
    let piled_up = came.saturating_sub(ended);
    if came < SATURATION_REQUESTS
        || (piled_up as f64) < PILED_UP_SHARE * came as f64
        || tau(&backlog_ns) < GROWING_TAU
    {
        return None;
    }
    let seconds = to.saturating_sub(half).as_s();
    let backlog = |part: usize| backlog_ns[part] as f64 / part_ns as f64;
    let fits = ended as f64 / seconds;
    Some(format!(
        "saturated: {:.1} requests/s came and {fits:.1} ended in the second half of the load, and those under way grew \
         from {:.0} to {:.0}: latencies tell how long the run was; stay below {fits:.1} requests/s or add replicas",
        came as f64 / seconds,
        backlog(0),
        backlog(PARTS - 1),
    ))
}

/// Kendall's tau of values against their order: 1 where each is larger than all before, 0 in chance order.
fn tau(values: &[u128; PARTS]) -> f64 {
    let mut sum = 0_i32;
    for (i, later) in values.iter().enumerate() {
        for earlier in &values[..i] {
            sum += i32::from(later > earlier) - i32::from(later < earlier);
        }
    }
    f64::from(sum) / (PARTS * (PARTS - 1) / 2) as f64
}

/// Reorders rows so that each of so many parts of a size has what it would have if all were sorted by time, and the
/// last also what is left over.
fn into_parts(rows: &mut [Row], part: usize, parts: usize) {
    if parts > 1 {
        let half = parts / 2;
        rows.select_nth_unstable_by_key(half * part, |row| (row.scheduled, row.ttft()));
        let (low, high) = rows.split_at_mut(half * part);
        into_parts(low, part, half);
        into_parts(high, part, parts - half);
    }
}

/// The first tenth of the measured requests was served unlike the others: the warm-up was too short.
///
/// Compared are mean TTFTs of ten parts of equal numbers of completed requests, in the order of their scheduled times:
/// the first against a prediction from the nine others, [`WARM_UP_DEVIATIONS`] of their standard deviations wide. A
/// trend over the whole run widens that and is not taken for a cold start.
fn cold_start(mut rows: Vec<Row>) -> Option<String> {
    rows.retain(|row| row.ttft().is_some());
    if rows.len() < WARM_UP_REQUESTS {
        return None;
    }
    let part = rows.len() / PARTS;
    into_parts(&mut rows, part, PARTS);
    let sum_ms = |part: &[Row]| -> f64 {
        part.iter().filter_map(Row::ttft).map(|ttft| Nanos(ttft).as_ms()).sum()
    };
    let means: Vec<f64> =
        rows.chunks_exact(part).take(PARTS).map(|part| sum_ms(part) / part.len() as f64).collect();
    let (first, others) = means.split_first()?;
    let n = others.len() as f64;
    let mean = others.iter().sum::<f64>() / n;
    let variance = others.iter().map(|other| (other - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let room = (WARM_UP_DEVIATIONS * (variance * (1.0 + 1.0 / n)).sqrt()).max(WARM_UP_SHARE * mean);
    if (first - mean).abs() <= room {
        return None;
    }
    let until_s = rows[part..2 * part].iter().map(|row| row.scheduled).min()?.as_s();
    let least = others.iter().copied().fold(f64::INFINITY, f64::min);
    let most = others.iter().copied().fold(0.0, f64::max);
    Some(format!(
        "the warm-up is too short: the first tenth of the measured requests had a mean TTFT of {first:.0} ms, the other \
         tenths {least:.0} to {most:.0} ms (caches or queues were still filling); set measure.warm_up to {until_s:.0}s \
         or more"
    ))
}
