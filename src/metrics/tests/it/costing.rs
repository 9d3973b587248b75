//! Bills worked out by hand.

use crate::{collector, completed, lost};
use gorgo_metrics::{
    Cost, MeasureSpec, Prices, Records, ReplicaPrice, ReplicaSummary, RequestRecord, RunResult,
    Status,
};
use gorgo_types::{Nanos, RegionId, ReplicaId};
use proptest::prelude::*;
use std::collections::BTreeMap;

const EAST: RegionId = RegionId(0);
const WEST: RegionId = RegionId(1);

/// A 2-GPU replica in the east at 4 USD a GPU-hour, one of one GPU in the west at 2; east to west 0.05 USD/GB, back
/// 0.08; to clients 0.1. A prompt token is 4 bytes, an output token 300.
fn prices() -> Prices {
    let replica = |gpu: &str, gpus, usd| ReplicaPrice {
        gpu: gpu.to_owned(),
        gpus,
        usd_per_gpu_hour: Some(usd),
    };
    Prices {
        replicas: vec![replica("big", 2, 4.0), replica("small", 1, 2.0)],
        count_idle: true,
        egress_usd_per_gb: BTreeMap::from([((EAST, WEST), 0.05), ((WEST, EAST), 0.08)]),
        internet_usd_per_gb: BTreeMap::from([(EAST, 0.1)]),
        bytes_per_prompt_token: 4.0,
        bytes_per_output_token: 300.0,
    }
}

fn in_the_west(record: RequestRecord, input: u32, output: u32) -> RequestRecord {
    RequestRecord {
        replica: Some(ReplicaId(1)),
        region: Some(WEST),
        input_tokens: input,
        output_tokens: output,
        ..record
    }
}

/// A window of 36 s of which the run has 40; the replicas were busy for a half and a quarter of the run.
fn run(records: &[RequestRecord], keep: Records) -> RunResult {
    let spec = MeasureSpec {
        warm_up: Nanos::from_secs(2),
        stop: Some(Nanos::from_secs(38)),
        records: keep,
        ..MeasureSpec::default()
    };
    let mut collector = collector(spec);
    for record in records {
        collector.push(record).expect("lawful");
    }
    for (id, region, busy_fraction) in [("e0", "east", 0.5), ("w0", "west", 0.25)] {
        collector.replica(ReplicaSummary {
            id: id.to_owned(),
            region: region.to_owned(),
            requests: 0,
            busy_fraction,
            kv_used_mean: 0.0,
            evicted_tokens: 0,
            retracted: 0,
        });
    }
    collector.finish(Nanos::from_secs(40), records.len() as u64).expect("conserved")
}

fn bill(records: &[RequestRecord], prices: &Prices) -> Cost {
    let mut result = run(records, Records::Always);
    result.charge(prices);
    result.summary.cost_usd.expect("charged")
}

/// One before the window; in it one that stays in the east, one that goes west, one that is still under way there, and
/// one that was never placed.
fn records() -> Vec<RequestRecord> {
    let under_way = RequestRecord {
        status: Status::InFlight,
        first_token: None,
        finished: None,
        parts: Default::default(),
        ..completed(4, 5_000, 0, 0)
    };
    vec![
        in_the_west(completed(1, 1_000, 100, 200), 999_999, 999_999),
        RequestRecord {
            input_tokens: 1_000_000,
            output_tokens: 20_000,
            ..completed(2, 3_000, 9, 99)
        },
        in_the_west(completed(3, 4_000, 100, 200), 3_000_000, 10_000),
        in_the_west(under_way, 500_000, 7_000),
        lost(5, 6_000, Some(6_100), Status::Rejected),
    ]
}

fn close(got: Option<f64>, wanted: f64) {
    let got = got.expect("priced");
    assert!((got - wanted).abs() < 1e-12 * wanted.abs().max(1.0), "got {got}, wanted {wanted}");
}

#[test]
fn a_bill_by_hand() {
    let cost = bill(&records(), &prices());
    // 36 s are 0.01 h: 0.02 GPU-hours at 4 USD and 0.01 at 2.
    close(Some(cost.gpu_hours), 0.03);
    close(cost.gpu, 0.1);
    // East to west: 3.5 million prompt tokens of 4 bytes, 0.014 GB; west to east: 10,000 of 300 bytes, 0.003 GB.
    assert_eq!(cost.legs.len(), 2);
    assert_eq!((cost.legs[0].from.as_str(), cost.legs[0].to.as_str()), ("east", "west"));
    close(Some(cost.legs[0].gb), 0.014);
    close(cost.legs[0].usd, 0.014 * 0.05);
    close(cost.legs[1].usd, 0.003 * 0.08);
    close(cost.egress_cross_region, 0.000_94);
    close(Some(cost.cross_region_gb), 0.017);
    // To clients: 30,000 output tokens, 0.009 GB.
    close(Some(cost.internet_gb), 0.009);
    close(cost.egress_internet, 0.000_9);
    close(cost.egress, 0.001_84);
    close(cost.total, 0.101_84);
    assert_eq!((cost.input_tokens, cost.output_tokens), (4_000_000, 30_000));
    close(cost.per_million_tokens, 0.101_84 / 4.03);
    close(cost.per_million_output_tokens, 0.101_84 / 0.03);
    assert!(cost.unpriced.is_empty());
}

#[test]
fn without_idle_time_a_replica_costs_its_busy_share() {
    let cost = bill(&records(), &Prices { count_idle: false, ..prices() });
    close(Some(cost.gpu_hours), 0.02 * 0.5 + 0.01 * 0.25);
    close(cost.gpu, 0.02 * 0.5 * 4.0 + 0.01 * 0.25 * 2.0);
}

#[test]
fn what_has_no_price_is_null_and_named_and_so_is_every_sum_with_it() {
    let mut no_way_back = prices();
    no_way_back.egress_usd_per_gb.remove(&(WEST, EAST));
    let cost = bill(&records(), &no_way_back);
    assert_eq!(cost.unpriced, ["traffic from west to east"]);
    assert_eq!(cost.legs[1].usd, None);
    assert_eq!((cost.egress_cross_region, cost.egress, cost.total), (None, None, None));
    assert_eq!((cost.per_million_tokens, cost.per_million_output_tokens), (None, None));
    close(cost.gpu, 0.1);
    close(cost.egress_internet, 0.000_9);

    let mut free = prices();
    free.replicas[1].usd_per_gpu_hour = None;
    free.internet_usd_per_gb.clear();
    let cost = bill(&records(), &free);
    assert_eq!(cost.unpriced, ["GPU small", "traffic from east to clients"]);
    assert_eq!((cost.gpu, cost.egress_internet, cost.total), (None, None, None));
    close(cost.egress_cross_region, 0.000_94);
}

#[test]
fn of_several_routers_each_sends_and_answers_from_its_own_region() {
    let west_router = |record| RequestRecord { router_region: Some(WEST), ..record };
    let prices =
        Prices { internet_usd_per_gb: BTreeMap::from([(EAST, 0.1), (WEST, 0.4)]), ..prices() };
    let mut records = records();
    // One that came in in the west and stays there, one that came in in the west and goes east.
    let here = in_the_west(completed(6, 5_000, 9, 99), 1_000_000, 10_000);
    records.push(west_router(here));
    let input_tokens = 2_000_000;
    records.push(west_router(RequestRecord {
        input_tokens,
        output_tokens: 40_000,
        ..completed(7, 5_500, 9, 99)
    }));
    let cost = bill(&records, &prices);
    // East to west: 0.014 GB of prompts as before, and 40,000 output tokens of 300 bytes, 0.012 GB, on their way back.
    close(Some(cost.legs[0].gb), 0.026);
    close(cost.legs[0].usd, 0.026 * 0.05);
    // West to east: 0.003 GB of answers as before, and 2 million prompt tokens of 4 bytes, 0.008 GB.
    close(Some(cost.legs[1].gb), 0.011);
    close(cost.legs[1].usd, 0.011 * 0.08);
    // To clients: 0.009 GB from the east as before, 50,000 output tokens from the west, 0.015 GB.
    close(Some(cost.internet_gb), 0.024);
    close(cost.egress_internet, 0.009 * 0.1 + 0.015 * 0.4);
    let no_west = Prices { internet_usd_per_gb: BTreeMap::from([(EAST, 0.1)]), ..prices };
    let cost = bill(&records, &no_west);
    assert_eq!(cost.unpriced, ["traffic from west to clients"]);
    assert_eq!((cost.egress_internet, cost.total), (None, None));
}

#[test]
fn what_is_not_used_needs_no_price() {
    let east_only = [completed(2, 3_000, 9, 99)];
    let cost = bill(&east_only, &Prices { egress_usd_per_gb: BTreeMap::new(), ..prices() });
    assert_eq!(cost.egress_cross_region.map(f64::to_bits), Some(0), "zero, and not below it");
    assert_eq!(cost.cross_region_gb.to_bits(), 0);
    assert!(cost.unpriced.is_empty() && cost.total.is_some());
    let nothing = bill(&[], &Prices { internet_usd_per_gb: BTreeMap::new(), ..prices() });
    assert_eq!((nothing.per_million_tokens, nothing.per_million_output_tokens), (None, None));
    close(nothing.total, 0.1);
}

proptest! {
    /// Bytes are tokens times bytes a token, in whatever order and place; records and histograms bill alike.
    #[test]
    fn bytes_are_conserved(
        requests in prop::collection::vec((any::<bool>(), 1..5_000_000u32, 1..100_000u32, 0..40_000u64), 0..40),
    ) {
        let record = |(id, &(west, input, output, at)): (usize, &(bool, u32, u32, u64))| {
            let record = completed(id as u64, at.min(39_000), 10, 20);
            let record = RequestRecord { input_tokens: input, output_tokens: output, ..record };
            if west { in_the_west(record, input, output) } else { record }
        };
        let records: Vec<RequestRecord> = requests.iter().enumerate().map(record).collect();
        let cost = bill(&records, &prices());
        let measured = || records.iter().filter(|r| (2_000..38_000).contains(&(r.scheduled.0 / 1_000_000)));
        let west = || measured().filter(|record| record.region == Some(WEST));
        let input = |r: &RequestRecord| u64::from(r.input_tokens);
        let output = |r: &RequestRecord| u64::from(r.output_tokens);
        prop_assert_eq!(cost.input_tokens, measured().map(input).sum::<u64>());
        prop_assert_eq!(cost.output_tokens, measured().map(output).sum::<u64>());
        let crossing = west().map(|r| 4 * input(r) + 300 * output(r)).sum::<u64>() as f64;
        prop_assert!((cost.cross_region_gb * 1e9 - crossing).abs() <= 1e-9 * crossing);
        let answers = 300.0 * cost.output_tokens as f64;
        prop_assert!((cost.internet_gb * 1e9 - answers).abs() <= 1e-9 * answers);
        let mut folded = run(&records, Records::Never);
        folded.charge(&prices());
        prop_assert_eq!(folded.summary.cost_usd, Some(cost));
    }
}
