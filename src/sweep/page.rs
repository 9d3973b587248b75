//! `report.html`: what a finished sweep says, on one page that needs nothing but the files beside it, and not even those
//! to be read. No wall time is on it: a sweep that was split, stopped or run on other threads has the same page.

use crate::axes::bare;
use crate::error::SweepError;
use crate::pictures::{Finished, metric};
use crate::standing::{ALPHA, Standing};
use crate::store::Store;
use crate::table::METRICS;
use gorgo_report::{HtmlCell, HtmlPage, short_number};

/// Most rows of a table; the files have all.
const MOST_ROWS: usize = 2_000;
/// Seeds with a link each in a row.
const MOST_LINKS: usize = 20;
/// Fewer seeds than this tell settings apart only where they differ much.
const FEW_SEEDS: u64 = 10;

/// Metrics of the tables beside the objective.
const SHOWN: [&str; 8] = [
    "ttft_ms.p50",
    "ttft_ms.p95",
    "ttft_ms.p99",
    "e2e_ms.p95",
    "tpot_ms.p50",
    "good_fraction",
    "cache.real_token_hit_rate",
    "cost_usd.per_million_tokens",
];

impl Finished<'_> {
    /// Writes the pictures and the page into the folder. `command` is what makes the sweep again.
    ///
    /// # Errors
    /// When a histogram cannot be read or a file not be written.
    pub fn write_report(&self, store: &Store, command: &str) -> Result<(), SweepError> {
        let pictures = self.pictures(store)?;
        let mut page = HtmlPage::new(&self.plan.file.name);
        if !self.plan.file.description.is_empty() {
            page.paragraph(&self.plan.file.description);
        }
        page.facts(&self.facts(command));
        page.heading("Settings");
        page.paragraph(&self.settings_words());
        self.settings_table(&mut page);
        page.heading("Pictures");
        for picture in &pictures {
            store.replace(picture.file, &picture.svg)?;
            page.picture(&picture.svg, picture.file, &picture.caption);
        }
        page.heading("Cells");
        let (all, shown) = (self.cells.len(), self.cells.len().min(MOST_ROWS));
        page.paragraph(&format!(
            "{shown} of {all} cells; cells.csv has all. A cell's scenario runs by itself: gorgo run FILE."
        ));
        self.cells_table(&mut page, shown);
        store.replace("report.html", &page.finish())
    }

    fn facts(&self, command: &str) -> Vec<(&'static str, String)> {
        let plan = self.plan;
        let (objective, less) = &plan.file.objective;
        let seeds = plan.file.seeds;
        let name = |path: &std::path::Path| {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        };
        let scenario = plan.file.scenario.as_deref().map_or("the built-in one".to_owned(), name);
        let last = seeds.first + seeds.count - 1;
        let mut facts = vec![
            ("command", command.to_owned()),
            ("scenario", scenario),
            (
                "objective",
                format!("{objective}, {} is better", if *less { "less" } else { "more" }),
            ),
            ("policies", plan.policies.join(", ")),
            ("settings", plan.settings.len().to_string()),
            ("seeds", format!("{} to {last}, the same for every setting", seeds.first)),
            ("cells", self.cells.len().to_string()),
        ];
        if let Some(trace) = &plan.file.trace {
            facts.insert(2, ("trace", name(trace)));
        }
        if !plan.file.sets.is_empty() {
            facts.insert(2, ("set for all", plan.file.sets.join(", ")));
        }
        facts
    }

    fn settings_words(&self) -> String {
        let seeds = self.plan.file.seeds.count;
        let shown = self.rows.len().min(MOST_ROWS);
        let mut words = format!(
            "{shown} of {} rows, the best first; numbers are medians over the seeds; any: it makes no difference.",
            self.rows.len()
        );
        if seeds < 2 {
            words.push_str(" One seed: which settings are as good as the best cannot be said.");
            return words;
        }
        if self.standings.first().is_some_and(|best| best.same.is_none()) {
            words.push_str(" The best has no number under some seed: which settings are as good cannot be said.");
            return words;
        }
        let same = self.standings.iter().filter(|standing| standing.same == Some(true)).count();
        words.push_str(&format!(
            " {} cannot be told from the best: Student's t over differences paired by seed, Holm's correction, {:.0} % \
             for the family. The best was chosen by the same seeds, which flatters it; seeds that it was not chosen by \
             would tell its worth. The difference is the mean, with a 95 % interval that is each row's own.",
            match same.saturating_sub(1) {
                0 => "No other row".to_owned(),
                1 => "One other row".to_owned(),
                more => format!("{more} other rows"),
            },
            ALPHA * 100.0,
        ));
        if seeds < FEW_SEEDS {
            words.push_str(&format!(" {seeds} seeds are few: only large differences show."));
        }
        words
    }

    fn settings_table(&self, page: &mut HtmlPage) {
        let plan = self.plan;
        let objective = plan.file.objective.0.as_str();
        let shown: Vec<&str> = SHOWN.into_iter().filter(|name| *name != objective).collect();
        let mut head: Vec<String> = vec!["rank".to_owned(), "policy".to_owned()];
        head.extend(plan.file.axes.iter().map(|axis| axis.path.clone()));
        head.extend(
            [objective, "seeds' least", "seeds' most", "difference", "95 %", "as good"]
                .map(str::to_owned),
        );
        head.extend(shown.iter().map(|name| (*name).to_owned()));
        head.push("runs by seed".to_owned());
        let rows: Vec<Vec<HtmlCell>> = self
            .rows
            .iter()
            .zip(self.standings)
            .take(MOST_ROWS)
            .enumerate()
            .map(|(rank, (row, standing))| {
                let mut cells = vec![
                    HtmlCell::Number((rank + 1).to_string(), (rank + 1) as f64),
                    HtmlCell::Text(plan.policies[row.policy].clone()),
                ];
                let value = |axis| row.value(plan, axis).map_or("any", bare).to_owned();
                cells.extend((0..plan.file.axes.len()).map(|axis| HtmlCell::Text(value(axis))));
                cells.push(number(metric(row, objective)));
                cells.extend(row.spread.map(number));
                cells.extend(standing_cells(standing, rank == 0));
                cells.extend(shown.iter().map(|name| number(metric(row, name))));
                let first = self.plan.cells_of(row.settings[0], row.policy).start;
                cells.push(HtmlCell::Links(self.links(first)));
                cells
            })
            .collect();
        page.table(&head, &rows);
    }

    /// The summaries of a row's runs.
    fn links(&self, first: usize) -> Vec<(String, String)> {
        let seeds = self.plan.file.seeds;
        (0..seeds.count as usize)
            .take(MOST_LINKS)
            .map(|seed| {
                let run = &self.cells[first + seed].run;
                ((seeds.first + seed as u64).to_string(), format!("runs/{run}/summary.json"))
            })
            .collect()
    }

    fn cells_table(&self, page: &mut HtmlPage, shown: usize) {
        let plan = self.plan;
        let mut head: Vec<String> = vec!["cell".to_owned(), "policy".to_owned()];
        head.extend(plan.file.axes.iter().map(|axis| axis.path.clone()));
        let objective = plan.file.objective.0.as_str();
        head.extend(["seed", objective, "files"].map(str::to_owned));
        let place = METRICS.iter().position(|metric| *metric == objective);
        let rows: Vec<Vec<HtmlCell>> = (0..shown)
            .map(|index| {
                let (cell, numbers) = (plan.cell(index), &self.cells[index]);
                let mut row = vec![
                    HtmlCell::Number(index.to_string(), index as f64),
                    HtmlCell::Text(plan.policies[cell.policy].clone()),
                ];
                let values = plan.settings[cell.setting].iter();
                row.extend(values.map(|value| HtmlCell::Text(bare(value).to_owned())));
                row.push(HtmlCell::Number(cell.seed.to_string(), cell.seed as f64));
                row.push(number(place.and_then(|place| numbers.numbers[place])));
                let file = |word: &str, name: &str| {
                    (word.to_owned(), format!("runs/{}/{name}", numbers.run))
                };
                let mut files = vec![
                    file("scenario", "scenario.resolved.toml"),
                    file("summary", "summary.json"),
                    file("histograms", "histograms.json"),
                ];
                if plan.records {
                    files.push(file("requests", "requests.csv"));
                }
                row.push(HtmlCell::Links(files));
                row
            })
            .collect();
        page.table(&head, &rows);
    }
}

fn number(value: Option<f64>) -> HtmlCell {
    match value {
        Some(value) => HtmlCell::Number(short_number(value), value),
        None => HtmlCell::Number("-".to_owned(), f64::NAN),
    }
}

/// The difference from the best, its interval, and whether it is one.
fn standing_cells(standing: &Standing, is_best: bool) -> [HtmlCell; 3] {
    let word = match standing.same {
        _ if is_best => "best",
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    };
    let word = HtmlCell::Text(word.to_owned());
    let signed =
        |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, short_number(value));
    match standing.difference {
        Some([middle, low, high]) => [
            HtmlCell::Number(signed(middle), middle),
            HtmlCell::Number(format!("{} to {}", signed(low), signed(high)), low),
            word,
        ],
        None => [number(None), number(None), word],
    }
}
