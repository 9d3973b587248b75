//! What `gorgo decisions predict` prints and writes: the table, every prediction as CSV, the plot.

use super::predict::{BINS, LogReport, ModelReport, Report, pairs};
use clap::ValueEnum;
use gorgo_predict::RecordedLog;
use gorgo_predict::score::{Score, calibration};
use gorgo_report::plot::{PredictionBin, PredictionModel, PredictionPanel, prediction};
use std::fmt::Write;

/// The table for people.
pub fn table(report: &Report) -> String {
    let mut text = format!("profile {}\n", report.profile);
    for part in report.without.iter().filter_map(ValueEnum::to_possible_value) {
        let _ = writeln!(text, "without {}", part.get_name());
    }
    if let Some(fit) = &report.fit {
        let (before, after) = (fit.loss_before, fit.loss);
        let _ = writeln!(
            text,
            "fitted on {}: mean |log-ratio| of TTFT {before:.3} -> {after:.3} in {} replays",
            fit.log, fit.replays
        );
        for (name, (before, after)) in &fit.numbers {
            let _ = writeln!(text, "  {name:<22} {before:>10.4} -> {after:>10.4}");
        }
    }
    for log in &report.logs {
        let trips: Vec<String> = log.round_trips_ms.iter().map(|ms| format!("{ms:.1}")).collect();
        let _ = writeln!(
            text,
            "\n{}: {} decisions, {} served; round trips {} ms\n{:<34} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9}",
            log.log,
            log.decisions,
            log.served,
            trips.join(" / "),
            "",
            "requests",
            "median",
            "mean",
            "P90",
            "bias",
            "within",
            "Spearman"
        );
        let _ = writeln!(
            text,
            "{:<34} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8}",
            "", "", "error, ms", "error, ms", "error, ms", "ms", "25 %"
        );
        for model in &log.models {
            line(&mut text, &named(model), model.all.as_ref());
            for (replica, score) in model.replicas.iter().enumerate() {
                line(&mut text, &format!("    r{replica}"), score.as_ref());
            }
            if model.e2e.is_some() {
                line(&mut text, "    until the last token (E2E)", model.e2e.as_ref());
            }
        }
    }
    text
}

/// A model with what it was fitted on.
pub fn named(model: &ModelReport) -> String {
    match &model.fitted_on {
        None => format!("{}, as the profile is", model.model),
        Some(_) if model.in_sample => format!("{}, fitted on this log", model.model),
        Some(log) => {
            format!("{}, on {}", model.model, log.strip_prefix("decisions_").unwrap_or(log))
        }
    }
}

fn line(text: &mut String, name: &str, score: Option<&Score>) {
    let Some(score) = score else {
        let _ = writeln!(text, "{name:<34} {:>8}", 0);
        return;
    };
    let spearman = score.spearman.map_or_else(|| "-".to_owned(), |rho| format!("{rho:.3}"));
    let _ = writeln!(
        text,
        "{name:<34} {:>8} {:>9.1} {:>9.1} {:>9.1} {:>+9.1} {:>6.1} % {spearman:>9}",
        score.requests,
        score.median_abs_error_ms,
        score.mean_abs_error_ms,
        score.p90_abs_error_ms,
        score.median_error_ms,
        100.0 * score.within_25_percent,
    );
}

/// Every request that was served: what was measured and what each model foretold.
pub fn csv(log: &RecordedLog, report: &LogReport) -> String {
    let mut text = "request_id,replica,ttft_ms".to_owned();
    for model in &report.models {
        let on = if model.in_sample { "_in_sample" } else { "" };
        let fitted = if model.fitted_on.is_some() { "_fitted" } else { "" };
        let _ = write!(text, ",{}{fitted}{on}_ms", model.model);
    }
    text.push('\n');
    for (index, row) in log.rows().iter().enumerate() {
        let Some(ttft_ms) = row.ttft_ms() else { continue };
        let _ = write!(text, "{},{},{ttft_ms}", row.case.label, row.chosen);
        for model in &report.models {
            match model.foretold_ms.get(index).copied().flatten() {
                Some(ms) => {
                    let _ = write!(text, ",{ms:.3}");
                }
                None => text.push(','),
            }
        }
        text.push('\n');
    }
    text
}

/// The best known replay and the regression that was fitted on this log itself by replica, and everyone's errors.
pub fn plot(log: &RecordedLog, report: &LogReport) -> String {
    let shown = [
        report.models.iter().position(|model| model.model == "replay"),
        report.models.iter().position(|model| model.model == "regression" && model.in_sample),
    ];
    let models = report.models.iter().enumerate().map(|(index, model)| {
        let panels = if shown.contains(&Some(index)) {
            (0..log.replicas()).map(|replica| panel(log, report, model, replica)).collect()
        } else {
            Vec::new()
        };
        let pairs = pairs(log, &model.foretold_ms, None);
        let errors_ms = pairs.iter().map(|(foretold, ms)| (foretold - ms).abs()).collect();
        PredictionModel { name: named(model), panels, errors_ms }
    });
    let title = format!("{}: TTFT foretold and measured, request by request", report.log);
    let about = format!("{} of {} decisions were served", report.served, report.decisions);
    prediction(&title, &about, &models.collect::<Vec<_>>())
}

fn panel(
    log: &RecordedLog,
    report: &LogReport,
    model: &ModelReport,
    replica: usize,
) -> PredictionPanel {
    let pairs = pairs(log, &model.foretold_ms, Some(replica));
    let bins = calibration(&pairs, BINS).into_iter().map(|bin| PredictionBin {
        foretold_ms: bin.foretold_p50_ms,
        measured_ms: [bin.measured_p10_ms, bin.measured_p50_ms, bin.measured_p90_ms],
    });
    let rtt = report.round_trips_ms.get(replica).copied().unwrap_or(0.0);
    let score = model.replicas.get(replica).copied().flatten();
    let rank = score.and_then(|score| score.spearman);
    let rank = rank.map_or_else(String::new, |rho| format!(", Spearman {rho:.2}"));
    let title = format!("r{replica}, round trip {rtt:.0} ms{rank}");
    PredictionPanel { title, bins: bins.collect(), pairs }
}
