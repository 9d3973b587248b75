//! The scenarios that are checked in, the built-in data, the schema, and the round trip of what is written out.

use gorgo_scenario::{
    DEFAULT, IndexSpec, LoadSpec, Parsed, ReplayTrace, Resolved, WorkloadSpec, data, schema,
};
use gorgo_types::{Nanos, RegionId};
use std::path::{Path, PathBuf};

const NO_SETS: &[&str] = &[];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files below a folder of the repository with this ending, as (path from the root, text), in order of name.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(repository().join(folder)).expect("the folder is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    let read = |name: String| {
        let path = format!("{folder}/{name}");
        let text = std::fs::read_to_string(repository().join(&path)).expect("readable");
        (path, text)
    };
    names.into_iter().map(read).collect()
}

fn resolve(name: &str, text: &str) -> Resolved {
    let parsed = Parsed::new(name, text, NO_SETS);
    let resolved = parsed.and_then(|mut parsed| {
        if parsed.table().workload.is_none() {
            let trace = ReplayTrace { path: "trace.jsonl".into(), ..ReplayTrace::default() };
            parsed.replay(&trace, NO_SETS).expect("a plain replay");
        }
        parsed.resolve(Path::new(""))
    });
    resolved.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_scenario_resolves_and_comes_back_the_same() {
    let mut all = files("scenarios", ".toml");
    all.extend(files("scenarios/bench", ".toml"));
    all.extend(files("scenarios/papers", ".toml"));
    all.push(("good.toml".to_owned(), include_str!("good.toml").to_owned()));
    assert!(all.len() >= 8, "only {} scenarios were found", all.len());
    for (name, text) in all {
        let once = resolve(&name, &text);
        let written = once.to_toml();
        let twice = resolve(&format!("{name}, resolved"), &written);
        assert_eq!(twice.to_toml(), written, "{name}: the second writing differs");
        assert_eq!(twice.replicas.len(), once.replicas.len());
        for (a, b) in once.replicas.iter().zip(&twice.replicas) {
            assert_eq!((&a.name, a.region, a.overhead), (&b.name, b.region, b.overhead), "{name}");
            assert_eq!(format!("{:?}", a.config), format!("{:?}", b.config), "{name}");
        }
        assert_eq!((&twice.router, twice.measure), (&once.router, once.measure), "{name}");
        assert_eq!(twice.cost, once.cost, "{name}");
        assert_eq!(twice.client, once.client, "{name}");
        assert_eq!((&twice.demand, twice.seed), (&once.demand, once.seed), "{name}");
        assert_eq!(format!("{:?}", twice.network), format!("{:?}", once.network), "{name}");
        // Nothing is left for a default to fill in: the network does not even need the built-in tables.
        assert!(
            twice.to_toml().contains("[[network.links]]") && written.contains("[[profiles]]"),
            "{name}"
        );
    }
}

#[test]
fn the_default_is_the_first_scenario() {
    let resolved = Resolved::built_in(NO_SETS).expect("valid");
    assert_eq!(resolved.to_toml(), resolve("default", DEFAULT).to_toml());
    let names: Vec<&str> = resolved.regions.iter().map(|region| region.name.as_str()).collect();
    assert_eq!(names, ["azure:eastus", "azure:germanywestcentral", "azure:southeastasia"]);
    let replicas: Vec<&str> =
        resolved.replicas.iter().map(|replica| replica.name.as_str()).collect();
    let groups = ["eastus", "germanywestcentral", "southeastasia"];
    let wanted: Vec<String> =
        groups.iter().flat_map(|name| [format!("{name}-0"), format!("{name}-1")]).collect();
    assert_eq!(replicas, wanted);
    assert_eq!(resolved.replicas[5].region, RegionId(2));
    assert_eq!(resolved.replicas[0].config.kv_pool_tokens, 419_019);
    assert_eq!(resolved.replicas[0].overhead, Nanos::from_millis(10));
    let rtt = |to| resolved.network.median_rtt(RegionId(0), RegionId(to));
    assert_eq!((rtt(1), rtt(2)), (Nanos::from_millis(94), Nanos::from_millis(224)));
    for policy in &resolved.router.policies {
        assert_eq!(policy.build().expect("checked already").name(), policy.name);
    }
    let mut requests = resolved.requests().expect("a generator").source().expect("a generator");
    assert_eq!(resolved.requests().expect("a generator").size_hint(), Some(20_000));
    requests.next_due().expect("there is a first request");
    let (at, request) = requests.take().expect("it can be taken");
    assert_eq!((at, request.prompt.block_tokens()), (Nanos::ZERO, 16));
}

#[test]
fn a_change_of_the_resolved_scenario_is_written_out() {
    let mut resolved = Resolved::built_in(NO_SETS).expect("valid");
    resolved.router.policies.retain(|policy| policy.label == "gorgo");
    resolved.router.index = IndexSpec::Lru { capacity_tokens_per_replica: 4096 };
    resolved.measure.stop = Some(Nanos::from_secs(90));
    resolved.seed = 9;
    let again = resolve("changed", &resolved.to_toml());
    assert_eq!((&again.router, again.measure, again.seed), (&resolved.router, resolved.measure, 9));
}

#[test]
fn groups_of_one_name_count_on_and_profiles_may_be_the_scenarios_own() {
    let text = include_str!("good.toml").replace(
        "[network]\n",
        "[[fleet.replicas]]\nname = \"us\"\nregion = \"home\"\nprofile = \"mine\"\n\n[network]\n",
    );
    let resolved = resolve("good", &text);
    let names: Vec<&str> = resolved.replicas.iter().map(|replica| replica.name.as_str()).collect();
    assert_eq!(names, ["us-0", "us-1", "home-0", "us-2"]);
    let mine = &resolved.replicas[2];
    assert_eq!(mine.config.profile.name, "mine");
    assert_eq!(mine.config.kv_pool_tokens, (8 << 30) / 131_072);
    assert_eq!(resolved.network.median_rtt(RegionId(0), RegionId(1)), Nanos::from_millis(80));
    assert_eq!(resolved.network.median_rtt(RegionId(1), RegionId(1)), Nanos(500_000));
}

#[test]
fn a_policy_may_run_in_a_router_of_another_kind() {
    let text = include_str!("good.toml")
        .replace("\"gorgo\"]", "{ name = \"gorgo-regional\", router = \"v1\" }]");
    let v1 = "[router.variants.v1]\nlearn_at = \"finished\"\nserial_queue = true\nqueue_interval = \"20ms\"\n\
              per_region = { reaches_all = true, local_first = {}, geo_proxy = \"home\" }\nindex = { end_tagged = {} }\n\n[measure]";
    let text = text.replace("[measure]", v1);
    let resolved = resolve("v1.toml", &text);
    let router = &resolved.router;
    let [alone, .., v1] = &router.policies[..] else { panic!("three policies") };
    assert_eq!(
        (router.of(alone).per_region.as_ref(), router.of(alone).learn_at),
        (None, router.learn_at)
    );
    let v1 = router.of(v1);
    assert_eq!((v1.index, v1.serial_queue), (IndexSpec::EndTagged, true));
    assert_eq!(v1.probe_interval, router.probe_interval, "what it leaves out is the router's");
    assert!(v1.serial_decisions, "which decides on one request after the other");
    let places = v1.per_region.as_ref().expect("a router in each region");
    assert_eq!(places.local_first, Some(gorgo_routing::Room::default()));
    let mut regions: Vec<_> = resolved.replicas.iter().map(|replica| replica.region).collect();
    regions.dedup();
    assert_eq!(places.regions, regions);
    // Every router's answers have a price, wherever the variants stand.
    let eastus = RegionId(0);
    assert!(resolved.cost.internet_usd_per_gb.contains_key(&eastus));
    let again = resolve("again.toml", &resolved.to_toml());
    assert_eq!(again.to_toml(), resolved.to_toml());
    assert_eq!(again.router, resolved.router);
}

#[test]
fn a_kind_by_assignment_takes_the_place_of_the_files() {
    let read = |sets: &[&str]| {
        let parsed = Parsed::new("good", include_str!("good.toml"), sets)?;
        parsed.resolve(Path::new(""))
    };
    let written = |sets: &[&str]| read(sets).expect("valid").to_toml();
    assert!(written(&[]).contains("[load.gamma]"));
    let poisson = written(&["load.poisson.rate=3/s"]);
    assert!(poisson.contains("[load.poisson]") && !poisson.contains("[load.gamma]"), "{poisson}");
    let turns = "turns = \"after-previous\"";
    assert!(poisson.contains(turns), "what stands beside the kinds stays: {poisson}");
    assert!(written(&["load.turns=after-previous"]).contains("[load.gamma]"));
    let groups =
        read(&["workload.prefix_groups.requests=50", "load.turns=recorded"]).expect("valid");
    assert!(matches!(groups.demand.workload, WorkloadSpec::PrefixGroups(_)));
    assert!(groups.to_toml().contains("[load.gamma]"), "the load is the file's still");
    let both = ["load.poisson.rate=3/s", "load.constant.rate=3/s"];
    let error = read(&both).expect_err("two kinds").to_string();
    assert!(error.contains("got a second kind of load"), "{error}");
}

#[test]
fn a_replay_takes_the_workloads_place() {
    let bench = repository().join("scenarios/bench/replicas_8.toml");
    let trace = ReplayTrace {
        path: "some/trace.jsonl.gz".into(),
        speedup: Some(2.0),
        window: Some("10s..1min".to_owned()),
    };
    let resolved = Resolved::for_replay(Some(&bench), &trace, NO_SETS).expect("valid");
    let WorkloadSpec::Trace { path, options } = &resolved.demand.workload else {
        panic!("a trace")
    };
    assert_eq!((path.as_path(), options.speedup), (Path::new("some/trace.jsonl.gz"), 2.0));
    assert_eq!((options.window_from_s, options.window_to_s), (Some(10.0), Some(60.0)));
    assert_eq!(resolved.demand.load, LoadSpec::Own);
    let csv = ReplayTrace { path: "a.CSV.gz".into(), ..ReplayTrace::default() };
    // The built-in load is its own workload's; what the command line says of times is the trace's.
    let redrawn = Resolved::for_replay(None, &csv, &["load.constant.rate=5 req/s"]).expect("valid");
    assert!(matches!(redrawn.demand.load, LoadSpec::Arrivals(_)), "{:?}", redrawn.demand.load);
    let faster = Resolved::for_replay(None, &csv, &["load.recorded.speedup=4"]).expect("valid");
    let WorkloadSpec::Trace { options, .. } = &faster.demand.workload else { panic!("a trace") };
    assert_eq!(options.speedup, 4.0);
    for (trace, set, wanted) in [
        (
            &csv,
            "workload.wildchat.requests=5",
            "--set: got workload.wildchat.requests, wanted no key",
        ),
        (&trace, "load.constant.rate=5 req/s", "--speedup: got 2, wanted it without a [load]"),
    ] {
        let error = Resolved::for_replay(None, trace, &[set]).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let resolved = Resolved::for_replay(None, &csv, NO_SETS).expect("valid");
    let WorkloadSpec::Trace { path, .. } = &resolved.demand.workload else { panic!("a trace") };
    assert_eq!(path.as_path(), Path::new("a.CSV.gz"), "what it is, its first line will say");
    let error = Resolved::from_file(&bench, NO_SETS).expect_err("no workload");
    assert!(error.to_string().contains("gorgo replay"), "{error}");
}

#[test]
fn a_written_scenario_finds_its_trace_from_where_it_stands() {
    let folder = std::env::temp_dir().join(format!("gorgo-scenario-{}", std::process::id()));
    let (scenarios, results) = (folder.join("scenarios"), folder.join("results/local/run"));
    std::fs::create_dir_all(&scenarios).expect("a folder for the test");
    std::fs::create_dir_all(&results).expect("a folder for the test");
    let csv = "request_id,arrival_ms,input_tokens,output_tokens\na,0,100,5\nb,250,40,6\n";
    std::fs::write(folder.join("arrivals.csv"), csv).expect("written");
    let text = files("scenarios", "03_apr5_arrivals.toml").remove(0).1;
    let text = text.replace("../../shared/data/gorgo/apr5_1615_arrivals.csv.gz", "../arrivals.csv");
    std::fs::write(scenarios.join("s.toml"), text).expect("written");

    let first = Resolved::from_file(&scenarios.join("s.toml"), NO_SETS).expect("valid");
    let written = results.join("scenario.resolved.toml");
    std::fs::write(&written, first.to_toml_in(&results)).expect("written");
    let second = Resolved::from_file(&written, NO_SETS).expect("valid");
    let WorkloadSpec::ArrivalsCsv { path, .. } = &second.demand.workload else {
        panic!("arrivals")
    };
    assert_eq!(path.as_path(), Path::new("../../../arrivals.csv"));
    for resolved in [first, second] {
        let requests = resolved.requests().expect("the file is found");
        assert_eq!(requests.size_hint(), Some(2), "several policies share what was read");
        let mut source = requests.source().expect("readable");
        let mut times = Vec::new();
        while let gorgo_workload::Due::At(_) = source.next_due().expect("readable") {
            times.push(source.take().expect("due").0);
        }
        assert_eq!(times, [Nanos::ZERO, Nanos::from_millis(250)]);
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn an_unreadable_scenario_or_trace_is_an_error_with_its_path() {
    let error = Resolved::from_file(Path::new("no/such.toml"), NO_SETS).expect_err("not there");
    assert!(error.to_string().starts_with("no/such.toml: "), "{error}");
    let trace = ReplayTrace { path: "no/such.jsonl".into(), ..ReplayTrace::default() };
    let resolved = Resolved::for_replay(None, &trace, NO_SETS).expect("paths are not touched");
    let error =
        resolved.requests().and_then(|requests| requests.source()).err().expect("not there");
    assert!(error.to_string().contains("no/such.jsonl"), "{error}");
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let path = repository().join("scenarios/scenario.schema.json");
    let checked_in = std::fs::read_to_string(path).expect("readable");
    assert!(
        checked_in == schema(),
        "run: cargo run -p gorgo-scenario --example schema > scenarios/scenario.schema.json"
    );
}

#[test]
fn every_file_of_the_data_folder_is_built_in() {
    let gpus = files("data/gpus", ".toml");
    let built_in = |files: &[(&str, &str)]| {
        files.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(built_in(data::GPU_FILES), gpus);
    for (file, profile) in gpus.iter().zip(data::profiles().expect("well formed")) {
        assert!(
            file.0.ends_with(&format!("/{}.toml", profile.name)),
            "{} is in {}",
            profile.name,
            file.0
        );
    }
    let mut links = files("data/network", ".csv");
    let other = ["/cities.csv", "/places.csv", "/regions.csv"];
    links.retain(|(file, _)| !other.iter().any(|name| file.ends_with(name)));
    let series = gorgo_scenario::series::BUILT_IN.iter().map(|(_, file, text)| (*file, *text));
    let mut known = built_in(data::LINK_FILES);
    known.extend(built_in(&series.collect::<Vec<_>>()));
    known.sort();
    assert!(known == links, "a file of data/network is not built in, or not as it is");
}

#[test]
fn built_in_links_join_built_in_regions() {
    let regions = data::regions().expect("well formed");
    let links = data::links().expect("well formed");
    assert!(
        regions.len() == 115
            && links.len() > 4_000
            && data::places().expect("well formed").len() >= 90
    );
    for link in &links {
        for end in [&link.from, &link.to] {
            assert!(regions.iter().any(|region| region.name == *end), "{end} has no position");
        }
    }
}

#[test]
fn malformed_data_is_refused_with_file_line_and_field() {
    let links = "from,to,rtt_p50_ms,rtt_p95_ms,p95_measured\na,b,1,2,true\n";
    let cases = [
        (format!("{links}a,c,fast,2,true\n"), "x.csv:3:1: rtt_p50_ms:"),
        (format!("{links}a,c,1,2,perhaps\n"), "x.csv:3:1: p95_measured:"),
        (format!("{links}a,c,1\n"), "x.csv:3:1: row: got 3 fields, wanted 5"),
        ("from,to\na,b\n".to_owned(), "x.csv:2:1: row:"),
    ];
    for (text, wanted) in cases {
        let error =
            data::read_csv::<gorgo_model::NamedLink>("x.csv", &text).expect_err("malformed");
        assert!(error.to_string().contains(wanted), "wanted {wanted}, got\n{error}");
    }
    let matrix = "from,p:a,p:b\np:a,,10/12\n";
    for (text, wanted) in [
        (format!("{matrix}p:b,far,\n"), "x.csv:3:1: p:a: got \"far\", wanted ms"),
        (format!("{matrix}p:b,10/,\n"), "x.csv:3:1: p:a: got \"10/\", wanted ms"),
        (format!("{matrix}p:b,-1,\n"), "x.csv:3:1: p:a: got \"-1\""),
        (format!("{matrix}p:b,1\n"), "x.csv:3:1: row: got 2 fields, wanted 3"),
    ] {
        let error = data::read_links("x.csv", &text, |_| true).expect_err("malformed");
        assert!(error.to_string().contains(wanted), "wanted {wanted}, got\n{error}");
    }
    let (file, text) = data::GPU_FILES[0];
    let error = data::read_profile(file, &text.replace("decode_base_ms", "decode_bass_ms"));
    let error = error.expect_err("malformed").to_string();
    assert!(error.starts_with(file) && error.contains("did you mean `decode_base_ms`?"), "{error}");
}
