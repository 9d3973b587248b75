//! When requests are sent: the one kind of load, and back from it to the table that spells it out.

use super::Context;
use super::demand::{seconds, think_spec};
use crate::parsed::{
    ConcurrentTable, DiurnalTable, GammaTable, LoadTable, RampTable, RateTable, RecordedTable,
    SpikeTable, SweepTable, SynchronousTable, ThroughputTable,
};
use crate::workload::{LoadSpec, SweepSpec};
use gorgo_config::{
    Count, Diagnostic, Duration, Located, NonNegative, Positive, PositiveDuration, Rate, Share,
};
use gorgo_types::Nanos;
use gorgo_workload::{ArrivalSpec, ClosedLoopSpec, RateCurve, TurnTiming};
use std::ops::Range;

/// The one kind of load that a file gives.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Arrivals(ArrivalSpec),
    Recorded(RecordedTable),
    ClosedLoop(Streams),
    Sweep(SweepSpec),
}

/// A closed loop, and the word that the file has for it.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) table: Located<ConcurrentTable>,
    word: Word,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Synchronous,
    Concurrent,
    Throughput,
}

/// What a generator, which has no times of its own, may be given.
const GENERATED: &str = "wanted one of constant, poisson, gamma, ramp, diurnal, spike, synchronous, concurrent, \
                         throughput";

/// GuideLLM's `sweep_size`, where none is given.
const SWEEP_RUNS: Count = Count(10);

/// The length of a day.
const DAY: PositiveDuration = PositiveDuration(Nanos::from_secs(86_400));

type Cv = Option<Located<NonNegative>>;

fn value<T: Copy>(given: &Located<T>) -> T {
    given.value
}

fn cv_of(cv: &Cv) -> f64 {
    cv.as_ref().map_or(1.0, |cv| cv.value.0)
}

impl Context<'_> {
    /// The kind of load; none where the file gives none.
    pub(super) fn load(&self) -> Result<Option<Kind>, Diagnostic> {
        let load = &self.table.load;
        let LoadTable {
            turns: _,
            constant,
            poisson,
            gamma,
            recorded,
            ramp,
            diurnal,
            spike,
            synchronous,
            concurrent,
            throughput,
            sweep,
        } = &load.value;
        let kinds = [
            ("constant", constant.as_ref().map(Located::span)),
            ("poisson", poisson.as_ref().map(Located::span)),
            ("gamma", gamma.as_ref().map(Located::span)),
            ("ramp", ramp.as_ref().map(Located::span)),
            ("diurnal", diurnal.as_ref().map(Located::span)),
            ("spike", spike.as_ref().map(Located::span)),
            ("recorded", recorded.as_ref().map(Located::span)),
            ("synchronous", synchronous.as_ref().map(Located::span)),
            ("concurrent", concurrent.as_ref().map(Located::span)),
            ("throughput", throughput.as_ref().map(Located::span)),
            ("sweep", sweep.as_ref().map(Located::span)),
        ];
        self.one_kind(load, "load", &kinds)?;
        if let Some((word, spec)) = self.arrivals()? {
            spec.validate().map_err(|error| self.workload_error(&["load", word], &error))?;
            return Ok(Some(Kind::Arrivals(spec)));
        }
        if let Some(recorded) = recorded {
            return Ok(Some(Kind::Recorded(recorded.value.clone())));
        }
        if let Some(sweep) = sweep {
            return self.sweep(&sweep.value).map(|sweep| Some(Kind::Sweep(sweep)));
        }
        let streams = if let Some(throughput) = throughput {
            let ThroughputTable { max_in_flight, ramp } = throughput.value.clone();
            let table = ConcurrentTable { streams: max_in_flight, think: None, ramp };
            Some(Streams { table: table.into(), word: Word::Throughput })
        } else if synchronous.is_some() {
            let one = ConcurrentTable { streams: Count(1).into(), think: None, ramp: None };
            Some(Streams { table: one.into(), word: Word::Synchronous })
        } else {
            concurrent.clone().map(|table| Streams { table, word: Word::Concurrent })
        };
        Ok(streams.map(Kind::ClosedLoop))
    }

    /// The arrival process, with the word for it.
    fn arrivals(&self) -> Result<Option<(&'static str, ArrivalSpec)>, Diagnostic> {
        let load = &self.table.load.value;
        let varying = |curve, cv: &Cv| ArrivalSpec::Varying { curve, cv: cv_of(cv) };
        Ok(if let Some(table) = &load.constant {
            Some(("constant", ArrivalSpec::Constant { rate_rps: table.value.rate.value.0 }))
        } else if let Some(table) = &load.poisson {
            Some(("poisson", ArrivalSpec::Poisson { rate_rps: table.value.rate.value.0 }))
        } else if let Some(GammaTable { rate, cv }) = load.gamma.as_ref().map(|table| &table.value)
        {
            Some(("gamma", ArrivalSpec::Gamma { rate_rps: rate.value.0, cv: cv.value.0 }))
        } else if let Some(RampTable { from, to, over, cv }) = load.ramp.as_ref().map(|t| &t.value)
        {
            let curve = RateCurve::Ramp {
                from_rps: from.as_ref().map_or(0.0, |from| from.value.0),
                to_rps: to.value.0,
                over_s: over.value.0.as_s(),
            };
            Some(("ramp", varying(curve, cv)))
        } else if let Some(table) = &load.diurnal {
            Some(("diurnal", varying(self.diurnal(table)?, &table.value.cv)))
        } else if let Some(table) = load.spike.as_ref().map(|table| &table.value) {
            let curve = RateCurve::Spike {
                rate_rps: table.rate.value.0,
                factor: table.factor.value.0,
                from_s: table.from.value.0.as_s(),
                to_s: table.to.value.0.as_s(),
                every_s: table.every.as_ref().map(|every| every.value.0.as_s()),
            };
            Some(("spike", varying(curve, &table.cv)))
        } else {
            None
        })
    }

    /// A cosine or a table of hours, not both.
    fn diurnal(&self, table: &Located<DiurnalTable>) -> Result<RateCurve, Diagnostic> {
        let DiurnalTable { rate, amplitude, period, peak, hourly, start, cv: _ } = &table.value;
        let beside = |span: Option<Range<usize>>, what: &str, of: &str| {
            let problem = format!("got {what} beside {of}, wanted one of amplitude and hourly");
            match span {
                Some(span) => self.document.error(span, problem),
                None => self.document.blame(table, problem),
            }
        };
        let rate_rps = rate.value.0;
        match (amplitude, hourly) {
            (Some(amplitude), None) => match start {
                Some(start) => Err(beside(start.span(), "start", "amplitude")),
                None => Ok(RateCurve::Diurnal {
                    rate_rps,
                    amplitude: amplitude.value.0,
                    period_s: period.as_ref().map_or(DAY, value).0.as_s(),
                    peak_s: peak.as_ref().map(value).unwrap_or_default().0.as_s(),
                }),
            },
            (None, Some(hourly)) => {
                if let Some(period) = period {
                    return Err(beside(period.span(), "period", "hourly"));
                }
                if let Some(peak) = peak {
                    return Err(beside(peak.span(), "peak", "hourly"));
                }
                let weights: Vec<f64> = hourly.value.iter().map(|weight| weight.0).collect();
                let count = weights.len();
                let hourly = weights.try_into().map_err(|_| {
                    let problem = format!("got {count} weights, wanted 24, one for each hour");
                    self.document.blame(hourly, problem)
                })?;
                let start_s = start.as_ref().map(value).unwrap_or_default().0.as_s();
                Ok(RateCurve::Hourly { rate_rps, hourly, start_s })
            }
            (Some(_), Some(hourly)) => Err(beside(hourly.span(), "hourly", "amplitude")),
            (None, None) => {
                let problem = "got neither amplitude nor hourly, wanted one of them";
                Err(self.document.blame(table, problem))
            }
        }
    }

    fn sweep(&self, table: &SweepTable) -> Result<SweepSpec, Diagnostic> {
        let runs = table.runs.clone().unwrap_or(SWEEP_RUNS.into());
        if !(3..=1_000).contains(&runs.value.0) {
            let problem = format!("got {}, wanted 3 to 1000 runs", runs.value.0);
            return Err(self.document.blame(&runs, problem));
        }
        Ok(SweepSpec {
            runs: u32::try_from(runs.value.0).unwrap_or(u32::MAX),
            arrivals: table.arrivals.unwrap_or_default(),
            max_in_flight: self.streams(&table.max_in_flight)?,
        })
    }

    /// A load for a generator, which has no recorded times.
    pub(super) fn generator_load(&self, what: &str) -> Result<Kind, Diagnostic> {
        match self.load()? {
            Some(Kind::Recorded(_)) => {
                let problem = format!("got recorded times for {what}, which has none, {GENERATED}");
                Err(match &self.table.load.value.recorded {
                    Some(table) => self.document.blame(table, problem),
                    None => self.document.blame(&self.table.load, problem),
                })
            }
            Some(kind) => Ok(kind),
            None => {
                let problem = format!("got no kind of [load] for {what}, {GENERATED}");
                Err(self.document.blame(&self.table.load, problem))
            }
        }
    }

    /// Refuses a sweep, whose rates are of requests, for sessions.
    pub(super) fn no_sweep(&self, what: &str) -> Diagnostic {
        let problem = format!("got a sweep for {what}, whose rates are of sessions, {GENERATED}");
        match &self.table.load.value.sweep {
            Some(table) => self.document.blame(table, problem),
            None => self.document.blame(&self.table.load, problem),
        }
    }

    /// Refuses feedback between turns where there are no turns.
    pub(super) fn lone_requests(&self, what: &str) -> Result<(), Diagnostic> {
        match &self.table.load.value.turns {
            Some(turns) if turns.value == TurnTiming::AfterPrevious => {
                let problem = format!(
                    "got \"after-previous\" for {what}, which has no turns, wanted \"recorded\""
                );
                Err(self.document.blame(turns, problem))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn turns(&self, default: TurnTiming) -> TurnTiming {
        self.table.load.value.turns.as_ref().map_or(default, |turns| turns.value)
    }

    /// What is laid over recorded requests. Other times or a pool of users take the place of the recorded order of
    /// turns, so they do not go with feedback between turns.
    pub(super) fn over_recorded(
        &self,
        kind: &Kind,
        turns: TurnTiming,
    ) -> Result<LoadSpec, Diagnostic> {
        if !matches!(kind, Kind::Recorded(_)) && turns == TurnTiming::AfterPrevious {
            let problem =
                "got \"after-previous\" beside a load that sets its own times, wanted \"recorded\"";
            return Err(match &self.table.load.value.turns {
                Some(turns) => self.document.blame(turns, problem),
                None => self.document.blame(&self.table.load, problem),
            });
        }
        Ok(match kind {
            Kind::Recorded(_) => LoadSpec::Own,
            Kind::Arrivals(arrivals) => LoadSpec::Arrivals(*arrivals),
            Kind::ClosedLoop(streams) => LoadSpec::ClosedLoop(self.closed_loop(streams)?),
            Kind::Sweep(sweep) => LoadSpec::Sweep(*sweep),
        })
    }

    pub(super) fn window(
        &self,
        kind: &Kind,
    ) -> Result<(f64, Option<Duration>, Option<Duration>), Diagnostic> {
        let Kind::Recorded(RecordedTable { speedup, from, to }) = kind else {
            return Ok((1.0, None, None));
        };
        if let (Some(to), start) =
            (to, from.as_ref().map_or(Duration::default(), |from| from.value))
            && to.value <= start
        {
            let problem = format!("got {}, wanted more than from = {start}", to.value);
            return Err(self.document.blame(to, problem));
        }
        if let Some(speedup) = speedup
            && !(1e-6..=1e6).contains(&speedup.value.0)
        {
            let problem =
                format!("got {}, wanted a number from 0.000001 to 1000000", speedup.value.0);
            return Err(self.document.blame(speedup, problem));
        }
        let value = |bound: &Option<Located<Duration>>| bound.as_ref().map(|bound| bound.value);
        Ok((speedup.as_ref().map_or(1.0, |speedup| speedup.value.0), value(from), value(to)))
    }

    /// How many streams, users or requests under way.
    pub(super) fn streams(&self, given: &Located<Count>) -> Result<u32, Diagnostic> {
        u32::try_from(given.value.0).ok().filter(|streams| *streams <= 10_000_000).ok_or_else(
            || {
                let problem = format!("got {}, wanted at most 10000000", given.value.0);
                self.document.blame(given, problem)
            },
        )
    }

    pub(super) fn closed_loop(&self, given: &Streams) -> Result<ClosedLoopSpec, Diagnostic> {
        let table = &given.table.value;
        Ok(ClosedLoopSpec {
            users: self.streams(&table.streams)?,
            think: think_spec(table.think.as_ref().map(|think| think.value)),
            ramp_s: table.ramp.unwrap_or_default().0.as_s(),
        })
    }
}

/// The table that spells a load out.
pub(super) fn load_table(kind: &Kind, turns: TurnTiming) -> LoadTable {
    let mut table = LoadTable { turns: Some(turns.into()), ..LoadTable::default() };
    match kind {
        Kind::Arrivals(arrivals) => arrivals_table(arrivals, &mut table),
        Kind::Recorded(recorded) => {
            let speedup = recorded.speedup.clone().unwrap_or(Positive(1.0).into());
            let recorded = RecordedTable { speedup: Some(speedup), ..recorded.clone() };
            table.recorded = Some(recorded.into());
        }
        Kind::ClosedLoop(Streams { table: given, word }) => {
            let streams = given.value.clone();
            let ramp = Some(streams.ramp.unwrap_or_default());
            match word {
                Word::Synchronous => table.synchronous = Some(SynchronousTable {}.into()),
                Word::Concurrent => {
                    table.concurrent = Some(ConcurrentTable { ramp, ..streams }.into());
                }
                Word::Throughput => {
                    let max_in_flight = streams.streams;
                    table.throughput = Some(ThroughputTable { max_in_flight, ramp }.into());
                }
            }
        }
        Kind::Sweep(sweep) => {
            let sweep = SweepTable {
                runs: Some(Count(u64::from(sweep.runs)).into()),
                arrivals: Some(sweep.arrivals),
                max_in_flight: Count(u64::from(sweep.max_in_flight)).into(),
            };
            table.sweep = Some(sweep.into());
        }
    }
    table
}

fn arrivals_table(arrivals: &ArrivalSpec, table: &mut LoadTable) {
    let rate = |rate_rps: f64| Located::nowhere(RateTable { rate: Rate(rate_rps).into() });
    match *arrivals {
        ArrivalSpec::Constant { rate_rps } => table.constant = Some(rate(rate_rps)),
        ArrivalSpec::Poisson { rate_rps } => table.poisson = Some(rate(rate_rps)),
        ArrivalSpec::Gamma { rate_rps, cv } => {
            let gamma = GammaTable { rate: Rate(rate_rps).into(), cv: Positive(cv).into() };
            table.gamma = Some(gamma.into());
        }
        ArrivalSpec::Varying { curve, cv } => varying_table(&curve, cv, table),
    }
}

fn varying_table(curve: &RateCurve, cv: f64, table: &mut LoadTable) {
    let cv = Some(NonNegative(cv).into());
    let span = |s: f64| Located::nowhere(seconds(s));
    let longer = |s: f64| Located::nowhere(PositiveDuration(seconds(s).0));
    match *curve {
        RateCurve::Ramp { from_rps, to_rps, over_s } => {
            let from = (from_rps > 0.0).then(|| Rate(from_rps).into());
            let (to, over) = (Rate(to_rps).into(), longer(over_s));
            table.ramp = Some(RampTable { from, to, over, cv }.into());
        }
        RateCurve::Diurnal { rate_rps, amplitude, period_s, peak_s } => {
            let diurnal = DiurnalTable {
                rate: Rate(rate_rps).into(),
                amplitude: Some(Share(amplitude).into()),
                period: Some(longer(period_s)),
                peak: Some(span(peak_s)),
                hourly: None,
                start: None,
                cv,
            };
            table.diurnal = Some(diurnal.into());
        }
        RateCurve::Hourly { rate_rps, hourly, start_s } => {
            let diurnal = DiurnalTable {
                rate: Rate(rate_rps).into(),
                amplitude: None,
                period: None,
                peak: None,
                hourly: Some(hourly.map(NonNegative).to_vec().into()),
                start: Some(span(start_s)),
                cv,
            };
            table.diurnal = Some(diurnal.into());
        }
        RateCurve::Spike { rate_rps, factor, from_s, to_s, every_s } => {
            let spike = SpikeTable {
                rate: Rate(rate_rps).into(),
                factor: NonNegative(factor).into(),
                from: span(from_s),
                to: span(to_s),
                every: every_s.map(longer),
                cv,
            };
            table.spike = Some(spike.into());
        }
    }
}
