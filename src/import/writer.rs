//! From conversations to a trace: tokens, identities, origins, times; sorted, and written at the end.

use crate::conversation::{Conversation, Location, Turn};
use crate::error::ImportError;
use crate::regions::{Regions, locate};
use crate::spill::{MEMORY_BYTES, Sorter};
use crate::tally::{Event, Imported};
use gorgo_model::network::PlaceTable;
use gorgo_text::{MAX_TEMPLATE_TOKENS, TextChain, TextError, Tokens};
use gorgo_types::{
    ChainError, LatLon, Nanos, Origin, OriginId, Request, RequestId, Tokens as Count,
};
use gorgo_workload::{AssumedService, Output, TraceWriter};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Tokens per block of a trace that is written here.
pub(crate) const BLOCK_TOKENS: u32 = 16;

/// How to import.
pub struct ImportOptions {
    /// How text becomes tokens.
    pub tokens: Tokens,
    /// Tokens that the chat template puts before each message; at most [`MAX_TEMPLATE_TOKENS`].
    pub template_tokens: u32,
    /// Regions to send clients to: each request gets the nearest one as its `region`.
    pub regions: Option<Regions>,
    /// Where countries and states are.
    pub places: PlaceTable,
    /// Where a client is of whom nothing is known, as far as regions and look-ups go.
    pub unknown_at: LatLon,
    /// Between two turns of which one has no time.
    pub turn_gap: Nanos,
    /// How long an answer took, where only its end is known.
    pub service: AssumedService,
    /// Conversations (or prompts) read at most.
    pub limit: Option<u64>,
    /// Whether something of the data that would be skipped ends the import instead.
    pub strict: bool,
    /// Bytes of requests kept in memory for sorting; 0 for the usual.
    pub memory_bytes: usize,
}

impl Default for ImportOptions {
    /// Four characters a token, no template, no regions and no places; the unknown place is the centre of the United
    /// States, as in GORGO's geographic proxy; a minute between turns without times, an assumption.
    fn default() -> Self {
        Self {
            tokens: Tokens::default(),
            template_tokens: 0,
            regions: None,
            places: PlaceTable::default(),
            unknown_at: LatLon { lat: 39.8283, lon: -98.5795 },
            turn_gap: Nanos::from_secs(60),
            service: AssumedService::default(),
            limit: None,
            strict: false,
            memory_bytes: 0,
        }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Conversations read so far, of how many where that is known, and the bytes of their text.
    Reading {
        /// Read so far.
        done: u64,
        /// In all files.
        of: Option<u64>,
        /// Bytes of text.
        text_bytes: u64,
    },
    /// Requests written so far, of how many.
    Writing {
        /// Written so far.
        done: u64,
        /// In all.
        of: u64,
    },
}

/// A trace that is being written: removed unless it was finished, as half a trace would pass for a whole one.
struct Unfinished {
    path: PathBuf,
    keep: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.keep {
            // A file that cannot be removed stays; there is nobody left to tell.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Requests told of at once.
const STEP: u64 = 4096;

/// Takes conversations, from whatever reader, and writes their trace.
pub struct Importer<'a> {
    pub(crate) options: &'a ImportOptions,
    out: Unfinished,
    output: Output,
    sorter: Sorter,
    origins: Vec<Origin>,
    known: FxHashMap<Location, (OriginId, bool)>,
    sessions: FxHashSet<u64>,
    pub(crate) imported: Imported,
}

impl<'a> Importer<'a> {
    /// An import that will write to `out`.
    ///
    /// # Errors
    /// Where an option cannot be used, or `out` is there already.
    pub fn new(options: &'a ImportOptions, out: &Path) -> Result<Self, ImportError> {
        if options.template_tokens > MAX_TEMPLATE_TOKENS {
            return Err(ImportError::Option {
                option: "--template-tokens",
                got: options.template_tokens.to_string(),
                wanted: format!("at most {MAX_TEMPLATE_TOKENS}"),
            });
        }
        options.service.validate()?;
        // Whether it can be written is told before the work, not after.
        let output = Output::create(out)
            .map_err(|source| ImportError::Write { file: out.to_owned(), source })?;
        let memory_bytes =
            if options.memory_bytes == 0 { MEMORY_BYTES } else { options.memory_bytes };
        Ok(Self {
            options,
            out: Unfinished { path: out.to_owned(), keep: false },
            output,
            sorter: Sorter::new(out, BLOCK_TOKENS, memory_bytes),
            origins: vec![Origin::default()],
            known: FxHashMap::default(),
            sessions: FxHashSet::default(),
            imported: Imported::default(),
        })
    }

    /// Whether as many conversations as asked for have been read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.imported.conversations >= limit)
    }

    /// What has been read so far.
    #[must_use]
    pub const fn so_far(&self) -> &Imported {
        &self.imported
    }

    /// Takes one conversation, which stands at `place`.
    ///
    /// # Errors
    /// Where it cannot be used, or a file that sorting needs cannot be written.
    pub fn conversation(
        &mut self,
        all: &Conversation,
        place: &dyn fmt::Display,
    ) -> Result<(), ImportError> {
        self.imported.conversations += 1;
        if !self.sessions.insert(all.session) {
            return self.note(Event::Duplicate, 1, place);
        }
        self.imported.text_bytes += all.text.len() as u64;
        let mut met = Vec::new();
        let gap_us = i64::try_from(self.options.turn_gap.0 / 1_000).unwrap_or(i64::MAX / 4);
        let turns = all.turns(gap_us, |event, times| met.push((event, times)));
        for (event, times) in met {
            self.note(event, times, place)?;
        }
        self.requests(all, &turns, place)
    }

    /// The requests of a conversation's turns.
    fn requests(
        &mut self,
        all: &Conversation,
        turns: &[Turn],
        place: &dyn fmt::Display,
    ) -> Result<(), ImportError> {
        let options = self.options;
        let refuse = |error: ChainError| refused(place, "conversation", &error);
        let mut chain = TextChain::new(&options.tokens, options.template_tokens, BLOCK_TOKENS)
            .map_err(refuse)?;
        let (mut taken, mut before_us, mut number) = (0, None, 0);
        for turn in turns {
            for message in &all.messages[taken..turn.answer] {
                chain.begin(message.role);
                chain.text(all.text_of(message)).map_err(|source| untokenized(place, source))?;
            }
            let answer = &all.messages[turn.answer];
            chain.begin(answer.role);
            taken = turn.answer + 1;
            let input = chain.count();
            let prompt = if input == 0 { None } else { Some(chain.snapshot().map_err(refuse)?) };
            chain.text(all.text_of(answer)).map_err(|source| untokenized(place, source))?;
            let Some(prompt) = prompt else {
                self.note(Event::EmptyPrompt, 1, place)?;
                continue;
            };
            // A tokenizer may make nothing of an answer; a request has at least one token of it.
            let output = Count((chain.count() - input).max(1));
            let sequence =
                if chain.count() > input { Some(chain.snapshot().map_err(refuse)?) } else { None };
            let service_us = options.service.of(output).0 / 1_000;
            let service_us = i64::try_from(service_us).unwrap_or(i64::MAX);
            let mut met = Vec::new();
            let at_us = all.arrival_us(*turn, before_us, service_us, |event, times| {
                met.push((event, times));
            });
            for (event, times) in met {
                self.note(event, times, place)?;
            }
            before_us = Some(turn.ended_us);
            let question = &all.messages[turn.answer - 1];
            let at_question = !question.location.is_unknown();
            let location = if at_question { &question.location } else { &all.location };
            let origin = self.origin(location, place)?;
            let request = Request {
                id: RequestId { session: all.session, turn: number },
                user: question.user.or(all.user),
                has_session: true,
                prompt,
                output_tokens: output,
                max_tokens: output,
                sequence,
                origin,
            };
            number += 1;
            self.push(at_us, &request)?;
        }
        Ok(())
    }

    /// Takes a request made at a time since 1970, in microseconds.
    pub(crate) fn push(&mut self, at_us: i64, request: &Request) -> Result<(), ImportError> {
        self.sorter.push(u64::try_from(at_us).unwrap_or(0).saturating_mul(1_000), request)
    }

    /// Counts something; what would be skipped ends a strict import.
    pub(crate) fn note(
        &mut self,
        event: Event,
        times: u64,
        place: &dyn fmt::Display,
    ) -> Result<(), ImportError> {
        if self.options.strict && event.is_skip() {
            let (field, got, wanted) = event.wanted();
            return Err(ImportError::Row {
                place: place.to_string(),
                field: field.to_owned(),
                got: got.to_owned(),
                wanted: wanted.to_owned(),
            });
        }
        self.imported.add(event, times, place);
        Ok(())
    }

    /// The index of an origin by name, with its region where regions are wanted.
    fn origin(
        &mut self,
        location: &Location,
        place: &dyn fmt::Display,
    ) -> Result<OriginId, ImportError> {
        if location.is_unknown() && self.options.regions.is_none() {
            return Ok(OriginId(0));
        }
        let (id, is_found) = match self.known.get(location) {
            Some(&known) => known,
            None => {
                let (country, state) = (location.country.clone(), location.state.clone());
                let at = locate(&self.options.places, country.as_deref(), state.as_deref());
                let region = self.region(at);
                let origin = Origin { country, state, region, ..Origin::default() };
                let known = (self.add_origin(origin), at.is_some());
                self.known.insert(location.clone(), known);
                known
            }
        };
        if self.options.regions.is_some() && !is_found {
            self.note(Event::PlaceUnknown, 1, place)?;
        }
        Ok(id)
    }

    /// The nearest region, where regions are wanted.
    pub(crate) fn region(&self, at: Option<LatLon>) -> Option<String> {
        let regions = self.options.regions.as_ref()?;
        Some(regions.nearest(at.unwrap_or(self.options.unknown_at)).to_owned())
    }

    /// Adds an origin to the list.
    pub(crate) fn add_origin(&mut self, origin: Origin) -> OriginId {
        // Origins are far fewer than requests, and those are counted in 64 bits.
        let id = OriginId(u32::try_from(self.origins.len()).unwrap_or(u32::MAX));
        self.origins.push(origin);
        id
    }

    /// Writes the trace; `files` is what an error calls the input.
    ///
    /// # Errors
    /// Where there is no request, or the trace cannot be written.
    pub fn finish(
        self,
        files: &[&Path],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, ImportError> {
        let Self { options, mut out, output, sorter, origins, mut imported, .. } = self;
        let of = sorter.count();
        if of == 0 {
            let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            let mut notes = imported.notes();
            if notes.is_empty() {
                notes.push("there is nothing in it".to_owned());
            }
            return Err(ImportError::NoRequests {
                files: names.join(", "),
                skipped: notes.join("; "),
            });
        }
        let path = out.path.clone();
        let failed = |source| ImportError::Write { file: path.clone(), source };
        let rule = options.tokens.name();
        let last_ns = write(sorter, output, &origins, &rule, &failed, &mut |done| {
            progress(Progress::Writing { done, of });
        })?;
        out.keep = true;
        imported.requests = of;
        imported.span_s = Nanos(last_ns).as_s();
        Ok(imported)
    }
}

fn write(
    sorter: Sorter,
    output: Output,
    origins: &[Origin],
    rule: &str,
    failed: &dyn Fn(std::io::Error) -> ImportError,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, ImportError> {
    let mut writer = TraceWriter::new(output, BLOCK_TOKENS, Some(rule)).map_err(failed)?;
    let (unknown, mut done) = (Origin::default(), 0u64);
    let last_ns = sorter.drain(|since_ns, request| {
        let origin = origins.get(request.origin.index()).unwrap_or(&unknown);
        writer.write(Nanos(since_ns), request, origin).map_err(failed)?;
        done += 1;
        if done.is_multiple_of(STEP) {
            progress(done);
        }
        Ok(())
    })?;
    writer.finish().and_then(Output::finish).map_err(failed)?;
    Ok(last_ns)
}

/// A text that makes no chain.
pub(crate) fn untokenized(place: &dyn fmt::Display, source: TextError) -> ImportError {
    ImportError::Tokenize { place: place.to_string(), source }
}

pub(crate) fn refused(place: &dyn fmt::Display, field: &str, error: &ChainError) -> ImportError {
    ImportError::Row {
        place: place.to_string(),
        field: field.to_owned(),
        got: error.to_string(),
        wanted: "a text of 1 to 4294967295 tokens".to_owned(),
    }
}
