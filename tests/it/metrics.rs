//! `gorgo help metrics` defines every key of `summary.json` and every column of the CSV files, and nothing else is
//! written.

use crate::support::gorgo_ok;
use gorgo_report::{REQUEST_COLUMNS, SLIP_COLUMN, TIMELINE_COLUMNS};
use serde_json::Value;

/// Words of the help text: names with their dots and underscores.
fn words(text: &str) -> Vec<&str> {
    let apart = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'));
    text.split(apart).map(|word| word.trim_end_matches('.')).collect()
}

/// The dotted keys of the leaves; those of a list are of its elements.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(inner, &path, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| leaves(item, path, found));
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_key_of_the_summary_is_defined() {
    let help = gorgo_ok(&["help", "metrics"]);
    let defined = words(&help);
    // With a client that has a limit, so that its keys are there.
    let small = [
        "--set",
        "workload.wildchat.requests=300",
        "--set",
        "client.workers=4",
        "--policy",
        "gorgo",
    ];
    let run = ["run", "--quiet", "--no-files", "--format", "json"];
    let document: Value =
        serde_json::from_str(&gorgo_ok(&[&run[..], &small[..]].concat())).expect("JSON");
    let mut keys = Vec::new();
    leaves(&document["runs"][0], "", &mut keys);
    keys.sort();
    keys.dedup();
    assert!(keys.len() > 80, "only {} keys", keys.len());
    assert!(keys.iter().any(|key| key == "client.never_sent"), "{keys:?}");
    for key in &keys {
        // A distribution, the parts and the bill are defined by their own names below the group's.
        let (group, last) = key.rsplit_once('.').unwrap_or(("", key));
        let in_a_group =
            group.ends_with("_ms") || group.starts_with("cost_usd") || group == "requests";
        let groups =
            defined.contains(&group) || group.split('.').all(|group| defined.contains(&group));
        let found =
            defined.contains(&key.as_str()) || (in_a_group && groups && defined.contains(&last));
        assert!(found, "`{key}` is not defined");
    }
}

#[test]
fn every_column_is_defined() {
    let help = gorgo_ok(&["help", "metrics"]);
    let after = |title: &str| help.split_once(title).expect("a title").1.to_owned();
    let parts = after("ttft_parts_ms ");
    for (title, columns) in
        [("requests.csv:", &REQUEST_COLUMNS[..]), ("timeline.csv:", &TIMELINE_COLUMNS[..])]
    {
        let columns = columns.iter().chain(title.starts_with("requests").then_some(&SLIP_COLUMN));
        let section = after(title);
        let section = section.split("\n\n").next().expect("a section");
        for column in columns {
            let part = column.strip_suffix("_ms").unwrap_or(column);
            let found = words(section).contains(column)
                || (section.contains("NAME_ms for each part") && words(&parts).contains(&part));
            assert!(found, "`{column}` of {title} is not defined");
        }
    }
}
