//! `[workload.art_chat]` and `[workload.servegen]`: the published figures, and what a scenario changes of them. Both
//! have times of their own; another load can be laid over them as over a trace.

use super::Context;
use super::demand::{DemandPart, or};
use super::load::{Kind, load_table};
use crate::parsed::{ArtChatTable, BurstsTable, RecordedTable, ServegenTable, WorkloadTable};
use crate::published;
use crate::workload::{DemandSpec, LoadSpec, WorkloadSpec};
use gorgo_config::{
    Count, Diagnostic, Duration, Located, NonNegative, Positive, PositiveDuration, Rate, Share,
};
use gorgo_model::Network;
use gorgo_types::Nanos;
use gorgo_workload::art_chat::Bursts;
use gorgo_workload::{ArtChatSpec, ServegenSpec, TurnTiming};

/// Requests of a ServeGen workload where a scenario gives no end.
const SERVEGEN_REQUESTS: u64 = 10_000;

fn span(s: f64) -> Nanos {
    Nanos::from_s(s).unwrap_or(Nanos::ZERO)
}

impl Context<'_> {
    /// The load of a workload with times of its own; a window of them makes no sense, and a speed-up may not.
    fn own_times(
        &self,
        what: &str,
        may_speed_up: bool,
    ) -> Result<(Kind, LoadSpec, f64), Diagnostic> {
        self.lone_requests(what)?;
        let kind = self.load()?.unwrap_or(Kind::Recorded(RecordedTable::default()));
        let load = self.over_recorded(&kind, TurnTiming::Recorded)?;
        let (speedup, ..) = self.window(&kind)?;
        if let Kind::Recorded(RecordedTable { speedup, from, to }) = &kind {
            let windowed = from.as_ref().or(to.as_ref());
            if let Some(bound) = windowed {
                let problem = format!("got a window of {what}, wanted all of it");
                return Err(self.document.blame(bound, problem));
            }
            if let (Some(speedup), false) = (speedup, may_speed_up)
                && speedup.value.0 != 1.0
            {
                let problem = format!("got a speed-up of {what}, wanted its `rate`");
                return Err(self.document.blame(speedup, problem));
            }
        }
        Ok((kind, load, speedup))
    }

    pub(super) fn art_chat(
        &self,
        given: &Located<ArtChatTable>,
        network: &Network,
    ) -> Result<DemandPart, Diagnostic> {
        const PATH: [&str; 2] = ["workload", "art_chat"];
        let (kind, load, speedup) = self.own_times("art_chat", true)?;
        let table = &given.value;
        self.only_without_arrivals(table)?;
        let requests = match &table.requests {
            Some(count) => Some(self.small(Some(count), 0)?),
            None => None,
        };
        let mut spec = ArtChatSpec { speedup, ..art_chat_spec(table, requests)? };
        self.cities(&PATH, &mut spec.origins)?;
        let arrivals = match &table.arrivals {
            Some(path) => Some(self.path(path)?),
            None => None,
        };
        // With arrivals from a file the number of requests is not known yet: the generator checks again.
        let checked = if arrivals.is_some() {
            ArtChatSpec { requests: 16_000_000, ..spec.clone() }.validate()
        } else {
            spec.validate().and_then(|()| spec.validate_lengths())
        };
        checked.map_err(|error| self.workload_error(&PATH, &error))?;
        self.origins(&PATH, &spec.origins, network)?;
        let table = art_chat_table(table, &spec);
        let workload_table =
            WorkloadTable { art_chat: Some(table.into()), ..WorkloadTable::default() };
        let load_table = load_table(&kind, TurnTiming::Recorded);
        let limit = requests.map(u64::from);
        let workload = WorkloadSpec::ArtChat { spec, arrivals, limit };
        Ok(DemandPart { spec: DemandSpec { workload, load }, workload_table, load_table })
    }

    /// Refuses what a table of arrivals says itself.
    fn only_without_arrivals(&self, table: &ArtChatTable) -> Result<(), Diagnostic> {
        if table.arrivals.is_none() {
            return Ok(());
        }
        let given = [
            ("span", table.span.as_ref().map(Located::span)),
            ("top_user_share", table.top_user_share.as_ref().map(Located::span)),
            ("input_tokens", table.input_tokens.as_ref().map(Located::span)),
            ("output_full_share", table.output_full_share.as_ref().map(Located::span)),
        ];
        let Some((key, place)) = given.into_iter().find_map(|(key, span)| Some((key, span?)))
        else {
            return Ok(());
        };
        let problem = format!("got {key} beside arrivals, whose file says it");
        Err(self.document.error(place.unwrap_or(0..0), problem))
    }

    pub(super) fn servegen(
        &self,
        given: &Located<ServegenTable>,
        network: &Network,
    ) -> Result<DemandPart, Diagnostic> {
        const PATH: [&str; 2] = ["workload", "servegen"];
        let (kind, load, _) = self.own_times("servegen", false)?;
        let (mut spec, table) = servegen_spec(&given.value)?;
        self.cities(&PATH, &mut spec.origins)?;
        spec.validate().map_err(|error| self.workload_error(&PATH, &error))?;
        self.origins(&PATH, &spec.origins, network)?;
        let workload_table =
            WorkloadTable { servegen: Some(table.into()), ..WorkloadTable::default() };
        let load_table = load_table(&kind, TurnTiming::Recorded);
        let workload = WorkloadSpec::Servegen(spec);
        Ok(DemandPart { spec: DemandSpec { workload, load }, workload_table, load_table })
    }
}

/// The window's figures with those of the table over them.
fn art_chat_spec(table: &ArtChatTable, requests: Option<u32>) -> Result<ArtChatSpec, Diagnostic> {
    let window =
        published::window(table.window.as_ref().map_or_else(Default::default, |w| w.value))?;
    // A part of a window has the same part of its users. A file has as many as the window, unless it is cut.
    let users = match requests {
        Some(requests) if requests < window.requests => {
            let part = u64::from(window.users) * u64::from(requests);
            u32::try_from(part.div_ceil(u64::from(window.requests))).unwrap_or(window.users)
        }
        _ => window.users,
    };
    let share = |given: &Option<Located<Share>>, default: f64| {
        given.as_ref().map_or(default, |given| given.value.0)
    };
    let bursts = table.bursts.as_ref().map_or(window.bursts, |bursts| Bursts {
        requests: bursts.value.requests,
        gap_s: bursts.value.gap.0.as_s(),
    });
    Ok(ArtChatSpec {
        requests: requests.unwrap_or(window.requests),
        span_s: table.span.as_ref().map_or(window.span_s, |span| span.value.0.as_s()),
        speedup: window.speedup,
        users: or(table.users.as_ref(), users),
        top_user_share: share(&table.top_user_share, window.top_user_share),
        user_zipf_exponent: (table.user_zipf_exponent.as_ref())
            .map_or(window.user_zipf_exponent, |exponent| exponent.value.0),
        multi_turn_share: share(&table.multi_turn_share, window.multi_turn_share),
        requests_per_conversation: (table.requests_per_conversation.as_ref())
            .map_or(window.requests_per_conversation, |per| per.value.0),
        turns: or(table.turns.as_ref(), window.turns),
        input_tokens: or(table.input_tokens.as_ref(), window.input_tokens),
        output_tokens: or(table.output_tokens.as_ref(), window.output_tokens),
        output_full_share: share(&table.output_full_share, window.output_full_share),
        reuse_intra_user: share(&table.reuse_intra_user, window.reuse_intra_user),
        reuse_block_tokens: or(table.reuse_block_tokens.as_ref(), window.reuse_block_tokens),
        block_tokens: or(table.block_tokens.as_ref(), window.block_tokens),
        template_tokens: or(table.template_tokens.as_ref(), window.template_tokens),
        system: or(table.system.as_ref(), window.system),
        top_user_text: table.top_user_text.as_ref().map(|text| text.value).or(window.top_user_text),
        bursts,
        repeat_window_s: (table.repeat_window.as_ref())
            .map_or(window.repeat_window_s, |window| window.value.0.as_s()),
        origins: or(table.origins.as_ref(), window.origins),
    })
}

/// The table that makes the spec again. What a file of arrivals says is left to it.
fn art_chat_table(given: &ArtChatTable, spec: &ArtChatSpec) -> ArtChatTable {
    let drawn = given.arrivals.is_none();
    let bursts =
        BurstsTable { requests: spec.bursts.requests, gap: Duration(span(spec.bursts.gap_s)) };
    ArtChatTable {
        window: Some(given.window.as_ref().map_or_else(Default::default, |w| w.value).into()),
        arrivals: given.arrivals.clone(),
        requests: match drawn {
            true => Some(Count(u64::from(spec.requests)).into()),
            false => given.requests.clone(),
        },
        span: drawn.then(|| PositiveDuration(span(spec.span_s)).into()),
        users: Some(spec.users.into()),
        top_user_share: drawn.then(|| Share(spec.top_user_share).into()),
        user_zipf_exponent: Some(NonNegative(spec.user_zipf_exponent).into()),
        multi_turn_share: Some(Share(spec.multi_turn_share).into()),
        requests_per_conversation: Some(Positive(spec.requests_per_conversation).into()),
        turns: Some(spec.turns.into()),
        input_tokens: drawn.then(|| spec.input_tokens.into()),
        output_tokens: Some(spec.output_tokens.into()),
        output_full_share: drawn.then(|| Share(spec.output_full_share).into()),
        reuse_intra_user: Some(Share(spec.reuse_intra_user).into()),
        reuse_block_tokens: Some(spec.reuse_block_tokens.into()),
        block_tokens: Some(spec.block_tokens.into()),
        template_tokens: Some(spec.template_tokens.into()),
        system: Some(spec.system.into()),
        top_user_text: spec.top_user_text.map(Into::into),
        bursts: Some(bursts.into()),
        repeat_window: (!drawn).then(|| Duration(span(spec.repeat_window_s)).into()),
        origins: Some(or(given.origins.as_ref(), Vec::new()).into()),
    }
}

/// The service's figures with those of the table over them, and the table that makes them again: rates over time and
/// lengths are the built-in service's, by its name.
fn servegen_spec(given: &ServegenTable) -> Result<(ServegenSpec, ServegenTable), Diagnostic> {
    let service = given.service.as_ref().map_or_else(Default::default, |service| service.value);
    let steady = given.steady.unwrap_or(false);
    let base = published::service(service, steady)?;
    let duration = given.duration.as_ref().map(|span| span.value);
    let requests = match (&given.requests, duration) {
        (Some(count), _) => Some(count.value.0),
        (None, Some(_)) => None,
        (None, None) => Some(SERVEGEN_REQUESTS),
    };
    let share = |given: &Option<Located<Share>>, default: f64| {
        given.as_ref().map_or(default, |given| given.value.0)
    };
    let spec = ServegenSpec {
        requests,
        duration_s: duration.map(|span| span.0.as_s()),
        rate_rps: given.rate.as_ref().map_or(base.rate_rps, |rate| rate.value.0),
        start_s: given.start.as_ref().map_or(0.0, |start| start.value.0.as_s()),
        clients: or(given.clients.as_ref(), base.clients),
        top10_share: share(&given.top10_share, base.top10_share),
        cv: or(given.cv.as_ref(), base.cv),
        weibull_share: share(&given.weibull_share, base.weibull_share),
        block_tokens: or(given.block_tokens.as_ref(), base.block_tokens),
        origins: or(given.origins.as_ref(), base.origins.clone()),
        ..base
    };
    let table = ServegenTable {
        service: Some(service.into()),
        rate: Some(Rate(spec.rate_rps).into()),
        steady: Some(steady),
        start: Some(Duration(span(spec.start_s)).into()),
        requests: spec.requests.map(|requests| Count(requests).into()),
        duration: duration.map(Located::nowhere),
        clients: Some(spec.clients.into()),
        top10_share: Some(Share(spec.top10_share).into()),
        cv: Some(spec.cv.into()),
        weibull_share: Some(Share(spec.weibull_share).into()),
        block_tokens: Some(spec.block_tokens.into()),
        origins: Some(spec.origins.clone().into()),
    };
    Ok((spec, table))
}
