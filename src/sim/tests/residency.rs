//! Requests that must not leave a zone, in a whole scenario.

use gorgo_metrics::{RunResult, Status};
use gorgo_routing::{Router, RoutingRequest, Target};
use gorgo_scenario::Parsed;
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use gorgo_types::{Nanos, RequestId};
use std::collections::BTreeMap;
use std::path::Path;

/// Three regions, of which one has room for everything and two are a zone; clients of three kinds.
const SCENARIO: &str = r#"
name = "zones"
seed = 3

[[fleet.replicas]]
name = "us"
region = "azure:eastus"
gpu = "h100-sxm"
model = "llama-3.1-8b"
count = 2

[[fleet.replicas]]
name = "de"
region = "azure:germanywestcentral"
gpu = "h100-sxm"
model = "llama-3.1-8b"
residency = "eu"

[[fleet.replicas]]
name = "fr"
region = "azure:francecentral"
gpu = "h100-sxm"
model = "llama-3.1-8b"
residency = "eu"

[network]

[workload.chat]
requests = 600
origins = [
    { share = 0.5, country = "United States" },
    { share = 0.4, country = "Germany", residency = "eu" },
    { share = 0.1, country = "Germany", residency = "moon" },
]

[load.poisson]
rate = "20 sessions/s"

[router]
region = "azure:eastus"
policies = ["round-robin", "gorgo", "session-affinity", "power-of-two"]

[[event]]
from = "3s"
to = "9s"
outage = { replica = "de-0" }
"#;

/// Where requests went, by the zone that they are bound to.
fn run(text: &str, policy: usize) -> (RunResult, BTreeMap<String, Vec<(RequestId, Target)>>) {
    let scenario =
        Parsed::new::<&str>("zones.toml", text, &[]).unwrap().resolve(Path::new("")).unwrap();
    let zones = scenario.zones();
    let mut went: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let mut observer =
        |_: Nanos, request: &RoutingRequest<'_>, _: u64, _: &Router, target: Target| {
            let zone = request.residency.map(|zone| zone.index());
            let name = zone.map(|zone| zones.get(zone).cloned().unwrap_or("nowhere".to_owned()));
            went.entry(name.unwrap_or_default()).or_default().push((request.id, target));
        };
    let source = scenario.requests().unwrap().source().unwrap();
    let options = RunOptions { observer: Some(&mut observer), ..RunOptions::default() };
    let result = run_policy(PolicyRun { scenario: &scenario, policy, source, options }).unwrap();
    (result, went)
}

fn warns(result: &RunResult) -> bool {
    result.summary.warnings.iter().any(|warning| warning.contains("bound to zones"))
}

#[test]
fn bound_requests_stay_in_their_zone_whatever_the_policy_and_whatever_fails() {
    for policy in 0..4 {
        let (result, went) = run(SCENARIO, policy);
        let name = &result.summary.policy;
        assert!(went["eu"].len() > 150 && went["nowhere"].len() > 20, "{name}");
        for (id, target) in &went["eu"] {
            let Target::Replica(replica) = target else { panic!("{name}: {id} went nowhere") };
            assert!([2, 3].contains(&replica.0), "{name}: {id} went to {replica:?}");
        }
        for (id, target) in &went["nowhere"] {
            assert_eq!(*target, Target::Reject, "{name}: {id}");
        }
        let records = result.records.as_deref().unwrap();
        let rejected = records.iter().filter(|r| r.status == Status::Rejected).count();
        assert_eq!(rejected, went["nowhere"].len(), "{name}");
        assert!(!warns(&result), "{name}");
    }
}

#[test]
fn without_zones_in_the_fleet_nobody_is_bound_and_it_is_said() {
    let text = SCENARIO.replace("residency = \"eu\"\n\n", "\n");
    let (result, went) = run(&text, 0);
    assert!(warns(&result), "{:?}", result.summary.warnings);
    assert_eq!(went.keys().collect::<Vec<_>>(), [""]);
    assert!(result.records.unwrap().iter().all(|record| record.status != Status::Rejected));
}
