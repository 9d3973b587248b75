//! What the pictures of a sweep show. Ink and scales are `gorgo-report`'s; which settings, and in which order, is chosen
//! here. A picture that a sweep has nothing for is left out.

use crate::axes::{Values, by_step, effect, label};
use crate::error::SweepError;
use crate::plan::Plan;
use crate::standing::Standing;
use crate::store::Store;
use crate::table::{CellNumbers, METRICS, SettingRow};
use gorgo_report::plot::{
    BandRun, BandSeries, FrontAxis, FrontPoint, ParallelAxis, ParallelLine, SurfaceAxis,
    SurfaceCell, SurfaceMark, SweepPanel, SweepSeries, SweepUnit, SweepValue, front, parallel,
    surface, sweep, ttft_bands,
};
use gorgo_report::short_number;

/// Most panels of main effects: those of the largest.
const MOST_EFFECTS: usize = 6;
/// The settings that are called the best, at most; never more than half.
const BEST: usize = 10;
/// Most settings drawn behind the best ones.
const MOST_BEHIND: usize = 800;
/// Most settings whose distributions are drawn.
const MOST_BANDS: usize = 6;

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Where in the folder it stands.
    pub file: &'static str,
    /// What a reader should know of it.
    pub caption: String,
    /// It.
    pub svg: String,
}

/// A finished sweep.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// What was asked.
    pub plan: &'a Plan,
    /// The numbers of every cell.
    pub cells: &'a [CellNumbers],
    /// The rows of [`crate::settings`], the best first.
    pub rows: &'a [SettingRow],
    /// How each of them stands to the best.
    pub standings: &'a [Standing],
}

impl Finished<'_> {
    /// All pictures of it. The distributions are read from the folder.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn pictures(&self, store: &Store) -> Result<Vec<Picture>, SweepError> {
        let drawn =
            [self.surface(), self.effects(), self.parallel(), self.front(), self.bands(store)?];
        Ok(drawn.into_iter().flatten().collect())
    }

    fn objective(&self) -> &str {
        &self.plan.file.objective.0
    }

    /// "weights, medians over 3 seeds"
    fn subtitle(&self) -> String {
        let seeds = self.plan.file.seeds.count;
        let over =
            if seeds == 1 { "one seed".to_owned() } else { format!("medians over {seeds} seeds") };
        format!("{}: {over}", self.plan.file.name)
    }

    /// The rows of a policy that have the objective, the best first, with it.
    fn rows_of(&self, policy: usize) -> Vec<(&SettingRow, f64)> {
        let rows = self.rows.iter().filter(|row| row.policy == policy);
        rows.filter_map(|row| metric(row, self.objective()).map(|value| (row, value))).collect()
    }

    fn surface(&self) -> Option<Picture> {
        let policy = self.rows.first()?.policy;
        let rows = self.rows_of(policy);
        let axes = &self.plan.file.axes;
        let mut effects: Vec<(usize, Values, f64)> = (0..axes.len())
            .filter_map(|axis| {
                let values = Values::of(self.plan, axis);
                let effect = effect(self.plan, axis, &values, &rows)?;
                Some((axis, values, effect))
            })
            .collect();
        effects.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        let first = effects.first()?;
        let apart = |other: &&(usize, Values, f64)| {
            let together = axes[first.0].zip.is_some() && axes[first.0].zip == axes[other.0].zip;
            other.0 != first.0 && !together
        };
        let second = effects.iter().find(apart)?;
        // As the file has them: the first across, the second upward.
        let (x, y) = if first.0 < second.0 { (first, second) } else { (second, first) };
        let mut cells = vec![vec![None; x.1.labels.len()]; y.1.labels.len()];
        // The best first: a cell shows the best of the settings that fall on it.
        for (row, standing) in self.rows.iter().zip(self.standings) {
            let value = |axis: &(usize, Values, f64)| axis.1.step(row.value(self.plan, axis.0)?);
            let place = (row.policy == policy).then(|| Some((value(x)?, value(y)?))).flatten();
            let Some(((column, line), number)) = place.zip(metric(row, self.objective())) else {
                continue;
            };
            let is_best = std::ptr::eq(row, &self.rows[0]);
            let own = match standing.same {
                _ if is_best => SurfaceMark::Best,
                Some(true) => SurfaceMark::Same,
                _ => SurfaceMark::Other,
            };
            let cell: &mut Option<SurfaceCell> = &mut cells[line][column];
            match cell {
                None => *cell = Some(SurfaceCell { value: number, mark: own }),
                Some(cell) if cell.mark == SurfaceMark::Other => cell.mark = own,
                Some(_) => {}
            }
        }
        let axis = |axis: &(usize, Values, f64)| SurfaceAxis {
            name: axes[axis.0].path.clone(),
            labels: axis.1.labels.clone(),
        };
        let others = if effects.len() > 2 { ", the best over all other axes" } else { "" };
        let title = format!("{} of {}", self.objective(), self.plan.policies[policy]);
        let (x_axis, y_axis) = (axis(x), axis(y));
        let svg = surface(
            &title,
            &format!("{}{others}", self.subtitle()),
            [&x_axis, &y_axis],
            unit(self.objective()),
            &cells,
        );
        let told = if self.standings.first().is_none_or(|best| best.same.is_none()) {
            "The seeds cannot tell which cells are as good."
        } else {
            "Framed beside the best: cells whose difference from it, paired by seed, cannot be told from none."
        };
        Some(Picture {
            file: "plots/surface.svg",
            caption: format!("Response surface over the two axes with the largest effects. {told}"),
            svg,
        })
    }

    fn effects(&self) -> Option<Picture> {
        let plan = self.plan;
        let by_policy: Vec<_> =
            (0..plan.policies.len()).map(|policy| self.rows_of(policy)).collect();
        let mut panels: Vec<(f64, SweepPanel)> = Vec::new();
        for (axis, own) in plan.file.axes.iter().enumerate() {
            let values = Values::of(plan, axis);
            let effects = by_policy.iter().filter_map(|rows| effect(plan, axis, &values, rows));
            let Some(largest) = effects.reduce(f64::max) else { continue };
            let series = |(name, rows): (&String, &Vec<(&SettingRow, f64)>)| SweepSeries {
                name: name.clone(),
                values: by_step(plan, axis, &values, rows)
                    .iter()
                    .map(|step| spread(step))
                    .collect(),
            };
            let panel = SweepPanel {
                title: format!("{} over {}", self.objective(), own.short_name()),
                axis: own.path.clone(),
                steps: values.labels.clone(),
                unit: unit(self.objective()),
                series: plan.policies.iter().zip(&by_policy).map(series).collect(),
            };
            panels.push((largest, panel));
        }
        panels.sort_by(|a, b| b.0.total_cmp(&a.0));
        let panels: Vec<SweepPanel> =
            panels.into_iter().take(MOST_EFFECTS).map(|(_, panel)| panel).collect();
        (!panels.is_empty()).then(|| Picture {
            file: "plots/effects.svg",
            caption: "Main effects, the largest first: the median over all settings with this value, and where the \
                      middle 8 of 10 of them lie. A policy that an axis makes no difference to is level."
                .to_owned(),
            svg: sweep("Main effects", &self.subtitle(), &panels, 2),
        })
    }

    fn parallel(&self) -> Option<Picture> {
        let (plan, objective) = (self.plan, self.objective());
        let values: Vec<Values> =
            (0..plan.file.axes.len()).map(|axis| Values::of(plan, axis)).collect();
        let varying: Vec<usize> =
            (0..values.len()).filter(|axis| values[*axis].ordered.len() > 1).collect();
        let rows: Vec<(&SettingRow, f64)> =
            self.rows.iter().filter_map(|row| Some((row, metric(row, objective)?))).collect();
        if varying.is_empty() || rows.len() < 3 {
            return None;
        }
        let numbers = || rows.iter().map(|(_, number)| *number);
        let least = numbers().fold(f64::INFINITY, f64::min);
        let most = numbers().fold(f64::NEG_INFINITY, f64::max);
        let is_log = least > 0.0 && most / least > 8.0;
        let place = |number: f64| match (most > least, is_log) {
            (false, _) => 0.5,
            (true, true) => (number / least).ln() / (most / least).ln(),
            (true, false) => (number - least) / (most - least),
        };
        let several = plan.policies.len() > 1;
        let mut axes: Vec<ParallelAxis> = Vec::new();
        let share =
            |index: usize, of: usize| if of < 2 { 0.5 } else { index as f64 / (of - 1) as f64 };
        if several {
            let marks = plan.policies.iter().enumerate();
            let marks = marks.map(|(i, name)| (share(i, plan.policies.len()), name.clone()));
            axes.push(ParallelAxis { name: "policy".to_owned(), marks: marks.collect() });
        }
        for &axis in &varying {
            let all = &values[axis].ordered;
            let marks =
                all.iter().enumerate().map(|(i, value)| (share(i, all.len()), label(value)));
            let name = plan.file.axes[axis].short_name().to_owned();
            // Of very many marks the ends and some between are enough; those that would touch are left out.
            axes.push(ParallelAxis { name, marks: ends_first(marks.collect()) });
        }
        let marks = (0..=4).map(|step| {
            let share = f64::from(step) / 4.0;
            let number = if is_log {
                least * (most / least).powf(share)
            } else {
                least + (most - least) * share
            };
            (
                share,
                format!(
                    "{} {}",
                    short_number(number),
                    if unit(objective) == SweepUnit::Time { "ms" } else { "" }
                ),
            )
        });
        axes.push(ParallelAxis { name: objective.to_owned(), marks: marks.collect() });
        let best = BEST.min(rows.len() / 2).max(1);
        let apart = (rows.len() - best).div_ceil(MOST_BEHIND).max(1);
        let kept = rows
            .iter()
            .enumerate()
            .filter(|(rank, _)| *rank < best || (rank - best).is_multiple_of(apart));
        let lines: Vec<ParallelLine> = kept
            .map(|(rank, (row, number))| {
                let mut places: Vec<Option<f64>> = Vec::new();
                if several {
                    places.push(Some(share(row.policy, plan.policies.len())));
                }
                places.extend(
                    varying.iter().map(|axis| values[*axis].place(row.value(plan, *axis)?)),
                );
                places.push(Some(place(*number)));
                ParallelLine { places, rank: (rank < best).then_some(rank) }
            })
            .collect();
        let behind = if apart > 1 {
            format!(" Of the others, one in {apart} is drawn.")
        } else {
            String::new()
        };
        Some(Picture {
            file: "plots/parallel.svg",
            caption: format!(
                "The best {best} of {} settings in blue, the darkest the best.{behind}",
                rows.len()
            ),
            svg: parallel(&format!("The best {best} settings"), &self.subtitle(), &axes, &lines),
        })
    }

    fn front(&self) -> Option<Picture> {
        let [x, y] = self.front_metrics();
        let both = |row: &SettingRow| Some((metric(row, x)?, metric(row, y)?));
        let rows: Vec<(&SettingRow, (f64, f64))> =
            self.rows.iter().filter_map(|row| Some((row, both(row)?))).collect();
        let sign = |name: &str, value: f64| if is_less_better(name) { value } else { -value };
        let signed = |(a, b): (f64, f64)| vec![sign(x, a), sign(y, b)];
        let all: Vec<Vec<f64>> = rows.iter().map(|(_, pair)| signed(*pair)).collect();
        let points: Vec<FrontPoint> = rows
            .iter()
            .zip(gorgo_stats::is_undominated(&all))
            .map(|((row, (x, y)), is_front)| FrontPoint {
                x: *x,
                y: *y,
                series: row.policy,
                is_front,
            })
            .collect();
        let axis = |name: &str| FrontAxis {
            title: name.to_owned(),
            unit: unit(name),
            less: is_less_better(name),
        };
        let (x_axis, y_axis) = (axis(x), axis(y));
        (points.len() > 1).then(|| Picture {
            file: "plots/front.svg",
            caption: "Pareto front: no setting is at least as good in both and better in one. Medians over the seeds; \
                      how sure they are is not shown."
                .to_owned(),
            svg: front(
                &format!("{x} against {y}"),
                &self.subtitle(),
                [&x_axis, &y_axis],
                &self.plan.policies,
                &points,
            ),
        })
    }

    /// Tail latency against cost where there are prices, else against the pace of the tokens that follow.
    fn front_metrics(&self) -> [&'static str; 2] {
        let cost = "cost_usd.per_million_tokens";
        let priced = self.rows.iter().any(|row| metric(row, cost).is_some());
        ["ttft_ms.p99", if priced { cost } else { "tpot_ms.p50" }]
    }

    fn bands(&self, store: &Store) -> Result<Option<Picture>, SweepError> {
        let several = self.plan.policies.len() > 1;
        let mut shown: Vec<&SettingRow> = Vec::new();
        if several {
            for row in self.rows {
                if shown.len() < MOST_BANDS && !shown.iter().any(|other| other.policy == row.policy)
                {
                    shown.push(row);
                }
            }
            // In the order of the other pictures, so that a policy has one colour.
            shown.sort_by_key(|row| row.policy);
        } else if let Some(last) = self.rows.len().checked_sub(1) {
            let mut places = vec![0, last / 2, last];
            places.dedup();
            shown.extend(places.into_iter().map(|place| &self.rows[place]));
        }
        let seeds = self.plan.file.seeds.count as usize;
        let mut series: Vec<BandSeries> = Vec::new();
        for row in shown {
            let mut runs = Vec::with_capacity(seeds);
            for cell in &self.cells[self.plan.cells_of(row.settings[0], row.policy)] {
                let ttft_ns = store.histograms(&cell.run)?.ttft_ns;
                runs.push(BandRun { ttft_ns, measured: cell.measured });
            }
            series.push(BandSeries { name: self.name_of(row), runs });
        }
        let which = if several {
            "the best setting of each policy"
        } else {
            "the best, the middle and the worst setting"
        };
        Ok((!series.is_empty()).then(|| Picture {
            file: "plots/ttft_bands.svg",
            caption: format!("TTFT of {which}: the middle of the seeds, and from the lowest to the highest of them."),
            svg: ttft_bands(
                "Time to first token",
                &format!("{}: {which}; bands over {seeds} seeds", self.plan.file.name),
                &series,
            ),
        }))
    }

    /// A policy and what was set for it.
    fn name_of(&self, row: &SettingRow) -> String {
        let mut name = self.plan.policies[row.policy].clone();
        for (axis, own) in self.plan.file.axes.iter().enumerate() {
            if let Some(value) = row.value(self.plan, axis) {
                name.push_str(&format!(" {}={}", own.short_name(), label(value)));
            }
        }
        name
    }
}

/// A number of a row.
pub(crate) fn metric(row: &SettingRow, name: &str) -> Option<f64> {
    METRICS.iter().position(|metric| *metric == name).and_then(|place| row.median[place])
}

/// What a metric counts in.
fn unit(name: &str) -> SweepUnit {
    let is_time = name.split('.').next().is_some_and(|first| first.ends_with("_ms"));
    if is_time { SweepUnit::Time } else { SweepUnit::Plain }
}

fn is_less_better(name: &str) -> bool {
    let more = ["requests.completed", "goodput_rps", "good_fraction", "cache.real_token_hit_rate"];
    !more.contains(&name)
}

/// The middle of sorted numbers, and where the middle 8 of 10 lie.
fn spread(sorted: &[f64]) -> Option<SweepValue> {
    let middle = gorgo_stats::middle(sorted)?;
    let cut = sorted.len() / 10;
    Some(SweepValue { middle, spread: (sorted[cut], sorted[sorted.len() - 1 - cut]) })
}

/// The marks at both ends before those between, which give way.
fn ends_first(marks: Vec<(f64, String)>) -> Vec<(f64, String)> {
    let last = marks.len().saturating_sub(1);
    let (mut ends, mut between) = (Vec::new(), Vec::new());
    for (index, mark) in marks.into_iter().enumerate() {
        if index == 0 || index == last { ends.push(mark) } else { between.push(mark) }
    }
    ends.extend(between);
    ends
}
