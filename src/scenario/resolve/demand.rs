//! The workload and when its requests are sent: one kind of each, and the pairs that make sense.

use super::Context;
use super::day::{day_spec, day_table};
use super::load::{Kind, load_table};
use crate::data;
use crate::parsed::{
    ArrivalsCsvTable, ChatTable, LoadTable, PrefixGroupsTable, RecordedTable, ServiceTable,
    ThinkTable, TraceTable, WorkloadTable,
};
use crate::workload::{DemandSpec, LoadSpec, WorkloadSpec};
use gorgo_config::{Count, Diagnostic, Duration, Located, NonNegative, PositiveDuration};
use gorgo_model::{Network, PlaceKind};
use gorgo_types::Nanos;
use gorgo_workload::{
    ArrivalsOptions, AssumedService, ChatSpec, OriginShare, PrefixGroupsSpec, SessionStart,
    ThinkSpec, TraceOptions, TurnTiming,
};
use std::path::PathBuf;

/// The demand, and the tables that make it again.
pub(super) struct DemandPart {
    pub(super) spec: DemandSpec,
    pub(super) workload_table: WorkloadTable,
    pub(super) load_table: LoadTable,
}

impl Context<'_> {
    pub(super) fn demand(&self, network: &Network) -> Result<DemandPart, Diagnostic> {
        let Some(workload) = &self.table.workload else {
            let problem =
                "got no [workload], wanted one, such as [workload.chat] or [workload.trace]";
            let whole = Diagnostic::whole_file(self.document.name(), problem);
            return Err(whole.help(
                "a scenario without a workload is for `gorgo replay TRACE --scenario FILE`",
            ));
        };
        let WorkloadTable {
            chat,
            wildchat,
            trace,
            arrivals_csv,
            prefix_groups,
            art_chat,
            servegen,
        } = &workload.value;
        let kinds = [
            ("chat", chat.as_ref().map(Located::span)),
            ("wildchat", wildchat.as_ref().map(Located::span)),
            ("trace", trace.as_ref().map(Located::span)),
            ("arrivals_csv", arrivals_csv.as_ref().map(Located::span)),
            ("prefix_groups", prefix_groups.as_ref().map(Located::span)),
            ("art_chat", art_chat.as_ref().map(Located::span)),
            ("servegen", servegen.as_ref().map(Located::span)),
        ];
        self.one_kind(workload, "workload", &kinds)?;
        if let Some(wildchat) = wildchat {
            return self.wildchat(wildchat, network);
        }
        if let Some(art_chat) = art_chat {
            return self.art_chat(art_chat, network);
        }
        if let Some(servegen) = servegen {
            return self.servegen(servegen, network);
        }
        match (chat, trace, arrivals_csv, prefix_groups) {
            (Some(chat), ..) => {
                self.chat(chat, self.generator_load("chat")?, &["workload", "chat"], network)
            }
            (_, Some(trace), ..) => self.trace(trace),
            (_, _, Some(arrivals), _) => self.arrivals_csv(arrivals),
            (_, _, _, Some(groups)) => self.prefix_groups(groups, network),
            (None, None, None, None) => Err(self.document.blame(
                workload,
                "got no kind of workload, wanted one of chat, wildchat, trace, arrivals_csv, prefix_groups, art_chat, servegen",
            )),
        }
    }

    /// Refuses a second kind, where it stands.
    pub(super) fn one_kind<T>(
        &self,
        at: &Located<T>,
        what: &str,
        kinds: &[(&str, Option<Option<std::ops::Range<usize>>>)],
    ) -> Result<(), Diagnostic> {
        let mut given = kinds.iter().filter_map(|(name, span)| Some((*name, span.clone()?)));
        let (Some((first, _)), Some((second, span))) = (given.next(), given.next()) else {
            return Ok(());
        };
        let problem = format!("got a second kind of {what}, {second} beside {first}, wanted one");
        Err(match span {
            Some(span) => self.document.error(span, problem),
            None => self.document.blame(at, problem),
        })
    }

    pub(super) fn chat(
        &self,
        given: &Located<ChatTable>,
        kind: Kind,
        path: &[&str],
        network: &Network,
    ) -> Result<DemandPart, Diagnostic> {
        let (spec, chat) = chat_spec(&given.value);
        let turn_timing = self.turns(TurnTiming::AfterPrevious);
        let start = match &kind {
            Kind::Arrivals(arrivals) => SessionStart::Arrivals(*arrivals),
            Kind::ClosedLoop(streams) => {
                let streams = &streams.table.value;
                if let Some(think) = &streams.think {
                    let problem =
                        "got a think time beside that of chat sessions, wanted workload.chat.think";
                    return Err(self.document.blame(think, problem));
                }
                SessionStart::Users {
                    users: self.streams(&streams.streams)?,
                    ramp_s: streams.ramp.unwrap_or_default().0.as_s(),
                }
            }
            Kind::Recorded(_) => return Err(self.document.blame(given, "got recorded times")),
            Kind::Sweep(_) => return Err(self.no_sweep("chat")),
        };
        let mut spec = ChatSpec { start, turn_timing, ..spec };
        self.cities(path, &mut spec.origins)?;
        if spec.day.is_some() {
            self.positions(&mut spec.origins, network)?;
        }
        spec.validate().map_err(|error| self.workload_error(path, &error))?;
        self.origins(path, &spec.origins, network)?;
        let workload_table = WorkloadTable { chat: Some(chat.into()), ..WorkloadTable::default() };
        let load_table = load_table(&kind, turn_timing);
        let spec = DemandSpec { workload: WorkloadSpec::Chat(spec), load: LoadSpec::Own };
        Ok(DemandPart { spec, workload_table, load_table })
    }

    fn prefix_groups(
        &self,
        given: &Located<PrefixGroupsTable>,
        network: &Network,
    ) -> Result<DemandPart, Diagnostic> {
        const PATH: [&str; 2] = ["workload", "prefix_groups"];
        self.lone_requests("prefix_groups")?;
        let kind = self.generator_load("prefix_groups")?;
        let (mut spec, table) = prefix_groups_spec(&given.value);
        let load = match &kind {
            Kind::Arrivals(arrivals) => {
                spec.arrival = *arrivals;
                LoadSpec::Own
            }
            Kind::ClosedLoop(streams) => LoadSpec::ClosedLoop(self.closed_loop(streams)?),
            Kind::Sweep(sweep) => LoadSpec::Sweep(*sweep),
            Kind::Recorded(_) => LoadSpec::Own,
        };
        self.cities(&PATH, &mut spec.origins)?;
        spec.validate().map_err(|error| self.workload_error(&PATH, &error))?;
        self.origins(&PATH, &spec.origins, network)?;
        let workload_table =
            WorkloadTable { prefix_groups: Some(table.into()), ..WorkloadTable::default() };
        let load_table = load_table(&kind, TurnTiming::Recorded);
        let spec = DemandSpec { workload: WorkloadSpec::PrefixGroups(spec), load };
        Ok(DemandPart { spec, workload_table, load_table })
    }

    fn trace(&self, given: &Located<TraceTable>) -> Result<DemandPart, Diagnostic> {
        let turns = self.turns(TurnTiming::Recorded);
        let kind = self.load()?.unwrap_or(Kind::Recorded(RecordedTable::default()));
        let load = self.over_recorded(&kind, turns)?;
        let service =
            given.value.assumed_service.unwrap_or(service_table(AssumedService::default()));
        let (speedup, from, to) = self.window(&kind)?;
        let requests = given.value.requests.clone();
        let options = TraceOptions {
            speedup,
            window_from_s: from.map(|from| from.0.as_s()),
            window_to_s: to.map(|to| to.0.as_s()),
            turns,
            assumed_service: service_spec(service),
            limit: requests.as_ref().map(|count| count.value.0),
        };
        let path = self.path(&given.value.path)?;
        let table =
            TraceTable { path: given.value.path.clone(), requests, assumed_service: Some(service) };
        let workload_table =
            WorkloadTable { trace: Some(table.into()), ..WorkloadTable::default() };
        let load_table = load_table(&kind, turns);
        let spec = DemandSpec { workload: WorkloadSpec::Trace { path, options }, load };
        Ok(DemandPart { spec, workload_table, load_table })
    }

    fn arrivals_csv(&self, given: &Located<ArrivalsCsvTable>) -> Result<DemandPart, Diagnostic> {
        self.lone_requests("arrivals_csv")?;
        let kind = self.load()?.unwrap_or(Kind::Recorded(RecordedTable::default()));
        let load = self.over_recorded(&kind, TurnTiming::Recorded)?;
        let default = ArrivalsOptions::default();
        let (speedup, from, to) = self.window(&kind)?;
        let block_tokens = given.value.block_tokens.clone().unwrap_or(default.block_tokens.into());
        if block_tokens.value == 0 {
            return Err(self.document.blame(&block_tokens, "got 0, wanted at least 1 token"));
        }
        let requests = given.value.requests.clone();
        let options = ArrivalsOptions {
            block_tokens: block_tokens.value,
            speedup,
            window_from_s: from.map(|from| from.0.as_s()),
            window_to_s: to.map(|to| to.0.as_s()),
            limit: requests.as_ref().map(|count| count.value.0),
        };
        let path = self.path(&given.value.path)?;
        let table = ArrivalsCsvTable {
            path: given.value.path.clone(),
            requests,
            block_tokens: Some(block_tokens),
        };
        let workload_table =
            WorkloadTable { arrivals_csv: Some(table.into()), ..WorkloadTable::default() };
        let load_table = load_table(&kind, TurnTiming::Recorded);
        let spec = DemandSpec { workload: WorkloadSpec::ArrivalsCsv { path, options }, load };
        Ok(DemandPart { spec, workload_table, load_table })
    }

    pub(super) fn path(&self, path: &Located<String>) -> Result<PathBuf, Diagnostic> {
        if path.value.trim().is_empty() || path.value.contains('\0') {
            let problem = format!("got {:?}, wanted the path of a file", path.value);
            return Err(self.document.blame(path, problem));
        }
        Ok(PathBuf::from(&path.value))
    }

    /// A client sits in a region of the network, or where the built-in places know it. (In a trace, an unknown country
    /// counts as not given; here it would be a slip of the pen that moves clients silently.)
    pub(super) fn origins(
        &self,
        path: &[&str],
        origins: &[OriginShare],
        network: &Network,
    ) -> Result<(), Diagnostic> {
        let places = data::places()?;
        let names = |kind: PlaceKind| {
            let of_kind = places.iter().filter(move |place| place.kind == kind);
            of_kind.map(|place| place.name.as_str()).collect::<Vec<_>>()
        };
        let regions: Vec<&str> =
            network.regions().iter().map(|place| place.name.as_str()).collect();
        for (index, origin) in origins.iter().enumerate() {
            let keys = [
                ("region", &origin.region, "regions of this network", regions.clone()),
                ("state", &origin.state, "known states", names(PlaceKind::State)),
                ("country", &origin.country, "known countries", names(PlaceKind::Country)),
            ];
            for (key, given, what, known) in keys {
                let Some(given) = given else { continue };
                let same = |word: &&str| match key {
                    "region" => *word == given.as_str(),
                    _ => word.eq_ignore_ascii_case(given),
                };
                if known.iter().any(same) {
                    continue;
                }
                let index = index.to_string();
                let full = [path, &["origins", &index, key]].concat();
                let span = self.document.at(&full).map_or(0..0, toml::Spanned::span);
                let problem = format!("got {given:?}, wanted one of the {what}");
                let diagnostic = self.document.error(span, problem);
                return Err(diagnostic.known(what, given, known));
            }
        }
        Ok(())
    }
}

pub(super) fn seconds(s: f64) -> Duration {
    Duration(Nanos::from_s(s).unwrap_or(Nanos::ZERO))
}

pub(super) fn think_spec(table: Option<ThinkTable>) -> ThinkSpec {
    table.map_or(ThinkSpec::default(), |think| ThinkSpec {
        mean_s: think.mean.0.as_s(),
        sd_s: think.sd.0.as_s(),
    })
}

fn service_spec(table: ServiceTable) -> AssumedService {
    AssumedService { base_ms: table.base.0.as_ms(), per_token_ms: table.per_token.0.as_ms() }
}

fn service_table(spec: AssumedService) -> ServiceTable {
    let millis = |ms: f64| Duration(Nanos::from_ms(ms).unwrap_or(Nanos::ZERO));
    ServiceTable { base: millis(spec.base_ms), per_token: millis(spec.per_token_ms) }
}

pub(super) fn or<T: Clone>(given: Option<&Located<T>>, default: T) -> T {
    given.map_or(default, |given| given.value.clone())
}

/// The chat workload but for when its sessions begin and turns follow, and the table that makes it again.
fn chat_spec(given: &ChatTable) -> (ChatSpec, ChatTable) {
    let default = ChatSpec::default();
    let duration = given.duration.as_ref().map(|span| span.value);
    let requests = match (&given.requests, duration) {
        (Some(count), _) => Some(count.value),
        (None, Some(_)) => None,
        (None, None) => default.requests.map(Count),
    };
    let service = given.assumed_service.unwrap_or(service_table(default.assumed_service));
    let think = or(
        given.think.as_ref(),
        ThinkTable { mean: seconds(default.think.mean_s), sd: seconds(default.think.sd_s) },
    );
    let spec = ChatSpec {
        requests: requests.map(|count| count.0),
        duration_s: duration.map(|PositiveDuration(span)| span.as_s()),
        block_tokens: or(given.block_tokens.as_ref(), default.block_tokens),
        assumed_service: service_spec(service),
        turns: or(given.turns.as_ref(), default.turns),
        system: or(given.system.as_ref(), default.system),
        user_tokens: or(given.user_tokens.as_ref(), default.user_tokens),
        output_tokens: or(given.output_tokens.as_ref(), default.output_tokens),
        max_tokens: given.max_tokens.as_ref().map(|most| most.value).or(default.max_tokens),
        context_tokens_max: or(given.context_tokens_max.as_ref(), default.context_tokens_max),
        think: think_spec(Some(think)),
        users: or(given.users.as_ref(), default.users),
        origins: or(given.origins.as_ref(), default.origins),
        day: given.day.as_ref().map(|day| day_spec(&day.value)),
        start: default.start,
        turn_timing: default.turn_timing,
    };
    let table = ChatTable {
        requests: requests.map(Located::nowhere),
        duration: duration.map(Located::nowhere),
        block_tokens: Some(spec.block_tokens.into()),
        assumed_service: Some(service),
        turns: Some(spec.turns.into()),
        system: Some(spec.system.into()),
        user_tokens: Some(spec.user_tokens.into()),
        output_tokens: Some(spec.output_tokens.into()),
        max_tokens: spec.max_tokens.map(Located::nowhere),
        context_tokens_max: Some(spec.context_tokens_max.into()),
        think: Some(think.into()),
        users: Some(spec.users.into()),
        origins: Some(spec.origins.clone().into()),
        day: spec.day.as_ref().map(|day| day_table(day).into()),
    };
    (spec, table)
}

/// The prefix groups but for when they arrive, and the table that makes them again.
fn prefix_groups_spec(given: &PrefixGroupsTable) -> (PrefixGroupsSpec, PrefixGroupsTable) {
    let default = PrefixGroupsSpec::default();
    let requests = or(given.requests.as_ref(), Count(default.requests));
    let zipf_exponent = or(given.zipf_exponent.as_ref(), NonNegative(default.zipf_exponent));
    let spec = PrefixGroupsSpec {
        requests: requests.0,
        arrival: default.arrival,
        block_tokens: or(given.block_tokens.as_ref(), default.block_tokens),
        groups: or(given.groups.as_ref(), default.groups),
        zipf_exponent: zipf_exponent.0,
        prefix_tokens: or(given.prefix_tokens.as_ref(), default.prefix_tokens),
        unique_tokens_min: or(given.unique_tokens_min.as_ref(), default.unique_tokens_min),
        unique_tokens_max: or(given.unique_tokens_max.as_ref(), default.unique_tokens_max),
        output_tokens_min: or(given.output_tokens_min.as_ref(), default.output_tokens_min),
        output_tokens_max: or(given.output_tokens_max.as_ref(), default.output_tokens_max),
        origins: or(given.origins.as_ref(), default.origins),
    };
    let table = PrefixGroupsTable {
        requests: Some(requests.into()),
        block_tokens: Some(spec.block_tokens.into()),
        groups: Some(spec.groups.into()),
        zipf_exponent: Some(zipf_exponent.into()),
        prefix_tokens: Some(spec.prefix_tokens.clone().into()),
        unique_tokens_min: Some(spec.unique_tokens_min.into()),
        unique_tokens_max: Some(spec.unique_tokens_max.into()),
        output_tokens_min: Some(spec.output_tokens_min.into()),
        output_tokens_max: Some(spec.output_tokens_max.into()),
        origins: Some(spec.origins.clone().into()),
    };
    (spec, table)
}
