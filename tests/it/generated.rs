//! Generated workloads through the built binary: a scenario that says no more than a fleet and a workload runs, and
//! each kind can be written as a trace that says of itself what was asked for.

use crate::support::{gorgo, gorgo_ok};
use serde_json::Value;
use std::path::Path;

const FLEET: &str = r#"
name = "short"

[fleet]
gpu = "h100-sxm"
model = "llama-3.1-8b"
regions = ["azure:eastus", "azure:germanywestcentral", "azure:southeastasia"]
"#;

fn scenario(folder: &Path, rest: &str) -> String {
    let path = folder.join("scenario.toml");
    std::fs::write(&path, format!("{FLEET}\n{rest}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_fleet_in_short_and_a_workload_are_a_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let file = scenario(folder.path(), "[workload.wildchat]");
    let text = gorgo_ok(&["run", &file, "--no-files", "--set", "workload.wildchat.requests=300"]);
    assert!(text.contains("3 replicas in 3 regions, router in azure:eastus"), "{text}");
    for policy in ["round-robin", "least-load", "session-affinity", "prefix-tree", "gorgo"] {
        assert!(text.contains(&format!("\n{policy} ")), "{policy}: {text}");
    }
    // What it stands for is written out: two regions' replicas, links, the preset's own lengths.
    let text = gorgo_ok(&["run", &file, "--dry-run"]);
    for word in ["[[fleet.replicas]]", "[workload.chat", "rate = \"2/s\"", "California"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_fleet_in_both_forms_or_in_half_of_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let with = |fleet: &str| {
        let path = folder.path().join("bad.toml");
        let text = format!("name = \"bad\"\n[fleet]\n{fleet}\n[workload.wildchat]\n");
        std::fs::write(&path, text).unwrap();
        let output = gorgo(&["run", path.to_str().unwrap(), "--dry-run"]);
        assert_eq!(output.status.code(), Some(2), "{fleet}");
        String::from_utf8(output.stderr).unwrap()
    };
    let regions = "regions = [\"azure:eastus\"]";
    let pair = "gpu = \"h100-sxm\"\nmodel = \"llama-3.1-8b\"";
    for (fleet, wanted) in [
        (String::new(), "wanted [[fleet.replicas]], or gpu, model and regions"),
        (pair.to_owned(), "wanted regions = [...] beside it"),
        ("replicas_per_region = 2".to_owned(), "wanted regions = [...] beside it"),
        (regions.to_owned(), "neither gpu and model nor a profile"),
        (format!("{pair}\nregions = []"), "got no regions, wanted at least one"),
        (format!("{pair}\nregions = [\"azure:eastus\", \"azure:eastus\"]"), "a second time"),
        (format!("{pair}\nregions = [\"mars\"]"), "mars"),
        (format!("{pair}\n{regions}\nreplicas_per_region = 0"), "got 0"),
        (
            format!("{regions}\n[[fleet.replicas]]\nregion = \"azure:eastus\"\n{pair}"),
            "one of the two forms",
        ),
    ] {
        let error = with(&fleet);
        assert!(error.contains("bad.toml:") && error.contains(wanted), "{fleet}\n{error}");
    }
}

/// What `trace info` says of the trace that `trace synth` writes of a workload.
fn synth(folder: &Path, workload: &str) -> Value {
    let out = folder.join("out.jsonl.gz");
    let out = out.to_str().unwrap();
    gorgo_ok(&["trace", "synth", "--quiet", out, "--scenario", &scenario(folder, workload)]);
    let info = gorgo_ok(&["trace", "info", out, "--format", "json"]);
    std::fs::remove_file(out).unwrap();
    serde_json::from_str(&info).unwrap()
}

#[test]
fn generated_workloads_are_written_as_traces() {
    let folder = tempfile::tempdir().unwrap();
    let number = |info: &Value, path: &str| info.pointer(path).and_then(Value::as_f64).unwrap();
    let info = synth(folder.path(), "[workload.wildchat]\nrequests = 2_000\nusers = 300");
    assert_eq!(info["requests"], 2_000);
    assert!(number(&info, "/users") > 280.0 && number(&info, "/distinct_origins") > 30.0);
    let info = synth(folder.path(), "[workload.art_chat]\nwindow = \"apr6\"");
    assert_eq!((info["requests"].as_u64(), info["users"].as_u64()), (Some(7_630), Some(606)));
    let reuse = number(&info, "/prefix_block_hit_rate_infinite");
    assert!((reuse - 0.776).abs() < 0.01, "{reuse}");
    assert!((number(&info, "/input_tokens/mean") - 7_008.0).abs() < 140.0);
    let info =
        synth(folder.path(), "[workload.servegen]\nservice = \"deepseek-r1\"\nrequests = 3_000");
    assert_eq!((info["requests"].as_u64(), info["sessions"].as_u64()), (Some(3_000), Some(0)));
    assert_eq!(number(&info, "/prefix_block_hit_rate_infinite"), 0.0);
}
