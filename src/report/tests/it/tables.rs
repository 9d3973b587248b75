//! Tables and JSON for people and programs.

use crate::{completed, many, names, rejected, run};
use gorgo_metrics::{Collector, Cost, MeasureSpec, RunResult, compare};
use gorgo_report::{
    Style, bill, comparison_json, comparison_table, json_document, summary_json, table,
};
use gorgo_types::Nanos;

fn three() -> Vec<RunResult> {
    vec![
        run("random", &[completed(1, 0, 200, 1_000), completed(2, 0, 400, 2_000)], 0),
        run("gorgo", &[completed(1, 0, 100, 1_000), completed(2, 0, 300, 1_500)], 0),
        run("nearest", &[completed(1, 0, 150, 900), rejected(2, 0)], 0),
    ]
}

#[test]
fn the_table_by_hand() {
    let text = table(&three(), Style::Plain);
    let lines: Vec<&str> = text.lines().collect();
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let header = "policy TTFT P50 TTFT P99 E2E P50 E2E P99 hit real pred busiest goodput good";
    assert_eq!(cells(lines[0]).join(" "), header);
    assert_eq!(cells(lines[1]).join(" "), "ms ms ms ms % tok % tok % req req/s %");
    let row = |index: usize| cells(lines[3 + index]);
    assert_eq!(
        row(0),
        ["random", "200.0", "400.0", "1000", "2000", "48.0", "32.0", "100.0", "0.00", "100.0*"]
    );
    assert_eq!(
        row(1),
        ["gorgo", "100.0*", "300.0*", "1000", "1500*", "48.0", "32.0", "100.0", "0.00", "100.0*"]
    );
    assert_eq!(
        row(2),
        ["nearest", "150.0", "inf", "900.0*", "inf", "48.0", "32.0", "100.0", "0.00", "50.0"]
    );
    assert_eq!(lines[6], "measured: 2 of 2 requests");
    assert_eq!(lines[7], "measured but not completed: nearest 1 of 2");
    assert!(lines[8].starts_with("good: completed; inf: "), "{}", lines[8]);
}

/// The runs of `three` with bills: the window is 1,000 s.
fn billed() -> Vec<RunResult> {
    let mut runs = three();
    for (run, cross) in runs.iter_mut().zip([1.0, 0.5, 0.25]) {
        run.summary.cost_usd = Some(Cost {
            gpu: Some(5.0),
            egress_cross_region: Some(cross),
            egress_internet: Some(0.125),
            egress: Some(cross + 0.125),
            total: Some(5.125 + cross),
            per_million_tokens: Some(0.0425),
            per_million_output_tokens: Some(0.3125 * cross),
            cross_region_gb: 10.0 * cross,
            ..Cost::default()
        });
    }
    runs
}

#[test]
fn the_bill_by_hand() {
    let text = bill(&billed(), Style::Plain);
    let wanted = "\
policy   GPUs  cross-region  cross-region  to clients  total   M tokens  M output
        USD/h          GB/h         USD/h       USD/h  USD/h        USD       USD
---------------------------------------------------------------------------------
random  18.00         36.00          3.60       0.450  22.05     0.0425     0.312
gorgo   18.00         18.00          1.80       0.450  20.25     0.0425     0.156
nearest 18.00          9.00          0.900*     0.450  19.35*    0.0425     0.0781*
";
    let cells = |text: &str| -> Vec<Vec<String>> {
        let row = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        text.lines().filter(|line| !line.starts_with('-')).map(row).collect()
    };
    let shown: String = text.lines().take(6).map(|line| format!("{line}\n")).collect();
    assert_eq!(cells(&shown), cells(wanted), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(!text.contains("no price"), "{text}");
}

#[test]
fn what_has_no_price_stands_below_the_bill_and_never_as_zero() {
    let mut runs = billed();
    for run in &mut runs {
        let cost = run.summary.cost_usd.as_mut().unwrap();
        (cost.egress_cross_region, cost.egress, cost.total) = (None, None, None);
        cost.unpriced = vec!["traffic from home to east".to_owned()];
    }
    let text = bill(&runs, Style::Plain);
    assert!(text.lines().nth(3).unwrap().split_whitespace().any(|cell| cell == "-"), "{text}");
    assert_eq!(text.matches("no price of traffic from home to east ([cost])").count(), 1, "{text}");
    for run in &mut runs {
        let cost = run.summary.cost_usd.as_mut().unwrap();
        cost.gpu = None;
        cost.unpriced.extend(["GPU a", "GPU b", "GPU c"].map(str::to_owned));
    }
    let text = bill(&runs, Style::Plain);
    let wanted = "no price of traffic from home to east, GPU a, GPU b and 1 more ([cost])";
    assert!(text.starts_with("cost: not known; ") && text.contains(wanted), "{text}");
    assert_eq!(bill(&three(), Style::Plain), "", "nobody gave prices");
}

#[test]
fn a_client_that_held_requests_back_gets_a_column() {
    let spec = MeasureSpec { client_holds_back: true, ..MeasureSpec::default() };
    let mut collector = Collector::new(spec, &names("pool"));
    (0..200).for_each(|i| collector.push(&completed(i, i, 100, 1_000)).unwrap());
    let runs = [collector.finish(Nanos::from_secs(9), 200).unwrap()];
    let text = table(&runs, Style::Plain);
    let header = text.lines().next().unwrap();
    assert!(header.contains("TTFT P99  hidden P99  E2E P50"), "{text}");
    assert!(text.lines().nth(3).unwrap().contains(" 5.00 "), "{text}");
    assert!(text.contains("; hidden: wait in the client before the send"), "{text}");
    assert!(!table(&three(), Style::Plain).contains("hidden"));
}

#[test]
fn columns_line_up_and_fit() {
    let mut runs = three();
    runs.push(run("a-policy-with-a-name-that-goes-on", &many(100), 0));
    let text = table(&runs, Style::Plain);
    let rows: Vec<&str> = text.lines().take(7).collect();
    assert!(rows.iter().all(|row| row.chars().count() <= 100), "{text}");
    assert!(text.contains("a-policy-with-a..."), "{text}");
    // Digits of a column end at one place, a star beyond it.
    let ends: Vec<usize> = [3, 4, 5].iter().map(|&row| rows[row].find("48.0").unwrap()).collect();
    assert!(ends.iter().all(|&end| end == ends[0]), "{text}");
}

#[test]
fn a_terminal_gets_bold_letters_and_no_star() {
    let text = table(&three(), Style::Terminal);
    assert!(text.contains("\x1b[1m100.0\x1b[0m") && !text.contains('*'), "{text}");
    let plain = table(&three(), Style::Plain);
    assert!(!plain.contains('\x1b'), "{plain}");
}

#[test]
fn one_run_has_no_best() {
    assert!(!table(&three()[..1], Style::Plain).contains('*'));
    assert_eq!(table(&[], Style::Plain).lines().count(), 3);
}

#[test]
fn json_has_a_schema_and_every_run() {
    let runs = three();
    let document: serde_json::Value = serde_json::from_str(&json_document(&runs)).unwrap();
    assert_eq!(document["schema"], 1);
    let policies: Vec<_> = document["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["policy"].as_str().unwrap())
        .collect();
    assert_eq!(policies, ["random", "gorgo", "nearest"]);
    let summary: serde_json::Value = serde_json::from_str(&summary_json(&runs[2].summary)).unwrap();
    assert_eq!(summary, document["runs"][2]);
    assert!(summary["ttft_ms"]["p99"].is_null() && summary["cost_usd"].is_null());
}

#[test]
fn a_comparison_says_who_is_faster() {
    let runs = three();
    let side = |index: usize| gorgo_metrics::Side {
        label: &runs[index].names.policy,
        records: runs[index].records.as_ref().unwrap(),
        window: runs[index].window,
    };
    let comparison = compare(&side(0), &side(1)).unwrap();
    let text = comparison_table(&comparison, Style::Plain);
    assert!(
        text.contains("paired by request: 2 in both, 0 only in random, 0 only in gorgo"),
        "{text}"
    );
    assert!(text.contains("mean -100.0 ms (no interval: fewer than 200 pairs)"), "{text}");
    assert!(text.contains("gorgo is faster in 100.0 % of the pairs, slower in 0.0 %"), "{text}");
    assert!(text.contains("-50.0"), "TTFT P50 from 200 to 100 ms: {text}");
    let json: serde_json::Value = serde_json::from_str(&comparison_json(&comparison)).unwrap();
    assert_eq!(json["comparison"]["ttft_difference"]["mean_ms"], -100.0);
    let lost = compare(&side(0), &side(2)).unwrap();
    assert!(comparison_table(&lost, Style::Plain).contains("slower in 50.0 %"));
}
