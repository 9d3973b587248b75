//! Prices: which are taken where a scenario names none, what a scenario says instead, and what is refused.

use gorgo_scenario::data::{PriceTables, Trust};
use gorgo_scenario::{Parsed, Resolved};
use gorgo_types::RegionId;
use std::path::Path;

const GOOD: &str = include_str!("good.toml");

fn built_in(sets: &[&str]) -> Resolved {
    Resolved::built_in(sets).unwrap_or_else(|error| panic!("{error}"))
}

fn egress(resolved: &Resolved, from: u32, to: u32) -> Option<f64> {
    resolved.cost.egress_usd_per_gb.get(&(RegionId(from), RegionId(to))).copied()
}

#[test]
fn the_default_scenario_is_priced_by_the_built_in_tables() {
    let resolved = built_in(&[]);
    let cost = &resolved.cost;
    assert_eq!(cost.gpu_usd_per_hour.get("h100-sxm"), Some(&3.99));
    assert!(cost.replicas.iter().all(|share| share.gpu == "h100-sxm" && share.gpus == 1));
    assert_eq!(cost.replicas.len(), 6);
    // East US (0) is the router's, West Central Germany 1, Southeast Asia 2.
    assert_eq!([egress(&resolved, 0, 1), egress(&resolved, 1, 0)], [Some(0.05); 2]);
    assert_eq!([egress(&resolved, 0, 2), egress(&resolved, 2, 0)], [Some(0.05), Some(0.08)]);
    assert_eq!(egress(&resolved, 1, 2), None, "nothing travels between two regions of replicas");
    assert_eq!(cost.internet_usd_per_gb.get(&RegionId(0)), Some(&0.0875));
    assert_eq!((cost.bytes_per_prompt_token, cost.bytes_per_output_token), (4.5, 320.0));
    let written = resolved.to_toml();
    for part in
        ["price = \"3.99 USD/h\"", "skypilot-catalog", "price = \"0.08 USD/GB\"", "skyplane"]
    {
        assert!(written.contains(part), "{part} is not in\n{written}");
    }
}

#[test]
fn a_scenarios_own_prices_win_and_are_written_out() {
    let sets = [
        "cost.gpus.h100-sxm.price=2 USD/h",
        "cost.egress.azure:eastus.internet.price=0 USD/GB",
        "cost.egress.azure:eastus.azure:southeastasia.price=0.5 USD/GB",
        "cost.egress.azure:southeastasia.azure:germanywestcentral.price=0.25 USD/GB",
        "cost.bytes_per_output_token=8",
        "cost.count_idle=false",
    ];
    let resolved = built_in(&sets);
    assert_eq!(resolved.cost.gpu_usd_per_hour.get("h100-sxm"), Some(&2.0));
    assert_eq!(resolved.cost.internet_usd_per_gb.get(&RegionId(0)), Some(&0.0));
    assert_eq!((egress(&resolved, 0, 2), egress(&resolved, 2, 0)), (Some(0.5), Some(0.08)));
    assert_eq!(egress(&resolved, 2, 1), Some(0.25));
    assert_eq!((resolved.cost.bytes_per_output_token, resolved.cost.count_idle), (8.0, false));
    let written = resolved.to_toml();
    let again = Parsed::new("again", &written, &[""; 0]).and_then(|p| p.resolve(Path::new("")));
    let again = again.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.to_toml(), again.cost), (written, resolved.cost));
}

#[test]
fn engines_of_several_gpus_count_them_all() {
    let sets = ["fleet.gpu=h100-sxm-tp4", "fleet.model=llama-3.3-70b"];
    let cost = built_in(&sets).cost;
    assert_eq!((cost.replicas[0].gpu.as_str(), cost.replicas[0].gpus), ("h100-sxm", 4));
    let counted = format!("{GOOD}\nprovenance = {{ gpus = 3 }}\n");
    let resolved = Parsed::new("own", &counted, &[""; 0]).and_then(|p| p.resolve(Path::new("")));
    let share = resolved.expect("valid").cost.replicas[2].clone();
    assert_eq!((share.gpu.as_str(), share.gpus), ("mine", 3));
}

#[test]
fn regions_and_gpus_of_ones_own_have_no_price_until_they_are_given_one() {
    let resolve = |sets: &[&str]| {
        Parsed::new("good.toml", GOOD, sets).and_then(|parsed| parsed.resolve(Path::new("")))
    };
    let cost = resolve(&[]).expect("valid").cost;
    assert_eq!(cost.gpu_usd_per_hour.get("mine"), None);
    assert!(cost.gpu_usd_per_hour.contains_key("h100-sxm"));
    // The router is at home, whose provider is nobody; East US pays its internet price for what leaves Azure.
    assert_eq!(cost.internet_usd_per_gb.get(&RegionId(1)), None);
    assert_eq!(cost.egress_usd_per_gb.get(&(RegionId(0), RegionId(1))), Some(&0.0875));
    assert_eq!(cost.egress_usd_per_gb.get(&(RegionId(1), RegionId(0))), None);
    let given = [
        "cost.gpus.mine.price=1 USD/h",
        "cost.egress.home.azure:eastus.price=0.01 USD/GB",
        "cost.egress.home.internet.price=0.02 USD/GB",
    ];
    let cost = resolve(&given).expect("valid").cost;
    assert_eq!(cost.gpu_usd_per_hour.get("mine"), Some(&1.0));
    assert_eq!(cost.egress_usd_per_gb.get(&(RegionId(1), RegionId(0))), Some(&0.01));
    assert_eq!(cost.internet_usd_per_gb.get(&RegionId(1)), Some(&0.02));
}

#[test]
fn the_tables_price_pairs_by_zone_and_leave_out_what_is_not_known() {
    let tables = PriceTables::built_in().expect("well formed");
    let price = |from: &str, to: &str| tables.egress(from, to).map(|(usd, _)| usd);
    for (from, to, wanted) in [
        ("aws:us-east-1", "aws:us-east-2", Some(0.01)),
        ("aws:us-east-1", "aws:eu-west-1", Some(0.02)),
        ("aws:sa-east-1", "aws:us-east-1", Some(0.138)),
        ("aws:us-east-1", "azure:eastus", Some(0.09)),
        ("azure:eastus", "azure:westus", Some(0.02)),
        ("azure:eastus", "azure:westeurope", Some(0.05)),
        ("azure:japaneast", "azure:koreacentral", Some(0.08)),
        ("azure:brazilsouth", "azure:eastus", Some(0.16)),
        ("gcp:us-east1", "gcp:us-west1", Some(0.01)),
        ("gcp:us-east1", "gcp:europe-west1", Some(0.08)),
        ("gcp:us-east1", "gcp:australia-southeast1", Some(0.15)),
        ("gcp:us-east1", "gcp:asia-southeast2", Some(0.15)),
        ("gcp:asia-southeast2", "gcp:us-east1", Some(0.15)),
        ("gcp:asia-southeast2", "gcp:asia-east1", Some(0.05)),
        ("gcp:asia-east1", "aws:us-east-1", None),
        ("ibm:london", "ibm:tokyo", None),
        ("us-ashburn", "eu-frankfurt", None),
        ("azure:nowhere", "azure:eastus", None),
        ("azure:eastus", "azure:nowhere", None),
        ("azure:eastus", "home", Some(0.0875)),
    ] {
        assert_eq!(price(from, to), wanted, "{from} to {to}");
    }
    let (_, source) = tables.internet("gcp:europe-west1").expect("priced");
    assert!(source.contains("data/prices/egress.csv") && source.contains("skyplane"), "{source}");
}

#[test]
fn no_default_rests_on_what_others_say_and_every_row_has_a_source() {
    let tables = PriceTables::built_in().expect("well formed");
    assert!(tables.gpus().iter().any(|row| row.trust == Trust::Secondary));
    for row in tables.gpus() {
        assert!(!row.source.is_empty() && row.usd_per_gpu_hour > 0.0, "{row:?}");
        if let Some(default) = tables.gpu(&row.gpu) {
            assert_eq!(default.trust, Trust::List);
        }
    }
    assert!(tables.gpu("h100-nvl").is_none(), "only a secondary source has it");
    for file in gorgo_scenario::data::GPU_FILES {
        let profile = gorgo_scenario::data::read_profile(file.0, file.1).expect("well formed");
        let gpu = profile.name.split_once('_').expect("GPU_MODEL").0;
        let gpu = gpu.split_once("-tp").map_or(gpu, |(gpu, _)| gpu);
        let gpu = gpu.strip_prefix("2x").unwrap_or(gpu);
        assert!(tables.gpu(gpu).is_some(), "{gpu} of {} has no price", profile.name);
    }
}

/// The table is AWS's prices by zone; the source has them by pair of regions.
#[test]
fn the_prices_of_aws_are_those_of_the_source_for_every_pair() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/prices");
    let Ok(text) = std::fs::read_to_string(shared.join("aws_transfer_cost_per_gb.csv")) else {
        println!("skipped: ../shared/data/prices is not here");
        return;
    };
    let tables = PriceTables::built_in().expect("well formed");
    let mut compared = 0;
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [from, to, usd] = cells[..] else { panic!("{line}") };
        if from.contains("gov") || to.contains("gov") {
            continue; // Not a region that the public can rent.
        }
        let from = format!("aws:{from}");
        let found = match to {
            "internet" => tables.internet(&from),
            to => tables.egress(&from, &format!("aws:{to}")),
        };
        assert_eq!(found.map(|(usd, _)| usd), usd.parse().ok(), "{line}");
        compared += 1;
    }
    assert!(compared > 600, "only {compared} pairs");
}
