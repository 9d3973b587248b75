//! Recorded series of round trips: what a run makes of good files, and how bad ones are refused.

use gorgo_model::network::{Sample, Traffic};
use gorgo_random::Draw;
use gorgo_scenario::series::read_series;
use gorgo_scenario::{Parsed, Resolved};
use gorgo_types::{Nanos, RegionId};
use std::path::{Path, PathBuf};

const SCENARIO: &str = r#"
name = "series"
[[fleet.replicas]]
region = "azure:eastus"
gpu = "h100-sxm"
model = "llama-3.1-8b"
[[fleet.replicas]]
region = "azure:koreacentral"
gpu = "h100-sxm"
model = "llama-3.1-8b"
[workload.prefix_groups]
requests = 10
[load.poisson]
rate = "1 req/s"
[router]
region = "azure:eastus"
policies = ["gorgo"]
"#;

const HEADER: &str = "time_s,from,to,rtt_ms\n";

/// A folder of this test's own, and the scenario in it with such series.
fn scenario(test: &str, files: &[(&str, &str)], series: &str) -> Resolved {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let text = format!("{SCENARIO}{series}");
    let parsed = Parsed::new("series.toml", &text, &[] as &[&str]);
    parsed.and_then(|parsed| parsed.resolve(&folder)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(test: &str, files: &[(&str, &str)], series: &str) -> String {
    let scenario = scenario(test, files, series);
    scenario.network_with_series().map(drop).expect_err("refused").to_string()
}

#[test]
fn traffic_takes_the_round_trips_of_its_series() {
    let rows = "0,azure:eastus,azure:koreacentral,200\n60,azure:eastus,azure:koreacentral,400\n";
    let series = "[[network.series]]\npath = \"a.csv\"\napplies_to = [\"requests\"]\n";
    let scenario = scenario("taken", &[("a.csv", &format!("{HEADER}{rows}"))], series);
    let network = scenario.network_with_series().unwrap();
    let (us, kr, draw) = (RegionId(0), RegionId(1), Draw::from_bits(1 << 60));
    let at = |from, to, s, traffic| network.rtt_at(from, to, Nanos::from_secs(s), traffic, draw);
    assert_eq!(at(us, kr, 59, Traffic::Requests), Nanos::from_millis(200));
    assert_eq!(at(us, kr, 60, Traffic::Requests), Nanos::from_millis(400));
    assert_eq!(at(kr, us, 90, Traffic::Requests), Nanos::from_millis(400), "both ways");
    assert_eq!(at(us, kr, 60, Traffic::RttProbes), network.rtt(us, kr, draw));
    assert_eq!(at(us, us, 60, Traffic::Requests), network.rtt(us, us, draw));
    // Written elsewhere, the scenario still finds its file.
    let elsewhere = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let text = scenario.to_toml_in(&elsewhere);
    let again = Parsed::new("again.toml", &text, &[] as &[&str]).unwrap();
    let again = again.resolve(&elsewhere).unwrap();
    assert!(again.network_with_series().is_ok());
    assert_eq!(again.to_toml(), text);
}

#[test]
fn malformed_files_are_refused_with_file_row_and_field() {
    let series = "[[network.series]]\npath = \"a.csv\"\n";
    let link = "azure:eastus,azure:koreacentral";
    for (test, text, says) in [
        ("empty", String::new(), &["no rows"][..]),
        ("header", HEADER.to_owned(), &["no rows"]),
        ("column", format!("time_s,from,to\n0,{link}\n"), &["rtt_ms"]),
        ("type", format!("{HEADER}0,{link},fast\n"), &["a.csv:2", "rtt_ms"]),
        ("nan", format!("{HEADER}0,{link},NaN\n"), &["a.csv:2", "rtt_ms", "got NaN", "above 0"]),
        ("negative", format!("{HEADER}0,{link},-1\n"), &["a.csv:2", "rtt_ms", "got -1"]),
        ("large", format!("{HEADER}0,{link},1e300\n"), &["a.csv:2", "rtt_ms", "at most 60000"]),
        (
            "back",
            format!("{HEADER}5,{link},1\n\n4,{link},1\n"),
            &["a.csv:4", "time_s", "got 4", "later than"],
        ),
        ("twice", format!("{HEADER}5,{link},1\n5,{link},1\n"), &["a.csv:3", "time_s", "got 5"]),
        ("before", format!("{HEADER}-5,{link},1\n"), &["a.csv:2", "time_s", "got -5"]),
        (
            "region",
            format!("{HEADER}0,azure:eastus,mars,1\n"),
            &["a.csv:2", "mars", "azure:koreacentral"],
        ),
        ("short", format!("{HEADER}0,{link}\n"), &["a.csv:2", "got 3 fields, wanted 4"]),
    ] {
        let error = refused(test, &[("a.csv", &text)], series);
        assert!(
            says.iter().all(|part| error.contains(part)),
            "{test}: wanted {says:?}, got\n{error}"
        );
    }
    let error = refused("missing", &[], "[[network.series]]\npath = \"none.csv\"\n");
    assert!(error.contains("none.csv: the series cannot be read"), "{error}");
    let folder = refused("folder", &[], "[[network.series]]\npath = \".\"\n");
    assert!(folder.contains("cannot be read"), "{folder}");
    let good = format!("{HEADER}0,{link},1\n");
    let twice = format!("{series}{series}");
    let error = refused("again", &[("a.csv", &good)], &twice);
    assert!(error.contains("another series has"), "{error}");
}

#[test]
fn the_built_in_series_are_sane() {
    let scenario =
        scenario("built-in", &[], "[[network.series]]\nbuilt_in = \"gorgo-v2-probes\"\n");
    assert!(
        scenario.network_with_series().is_ok(),
        "regions that it does not have are passed over"
    );
    for (name, file, text) in gorgo_scenario::series::BUILT_IN {
        let samples = read_series(file, text, &scenario.network, false).unwrap();
        let first = |to: &str| {
            let mine: Vec<&Sample> = samples.iter().filter(|sample| sample.to == to).collect();
            (mine.len(), mine[0].rtt_ms)
        };
        assert_eq!(*name, "gorgo-v2-probes");
        assert_eq!(first("us-ashburn"), (61, 31.604));
        assert_eq!(first("eu-frankfurt"), (61, 329.849));
        assert_eq!(first("ap-seoul"), (61, 655.325));
        assert!(Path::new(file).starts_with("data/network"));
    }
}
