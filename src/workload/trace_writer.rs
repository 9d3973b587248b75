//! Writes requests in gorgo's trace format, one JSON object per line. Block ids are written as they are chained, so a
//! trace read back has other ids with the same matches.

use gorgo_types::{BlockId, Nanos, Origin, Request};
use std::io::{self, Write};

/// Writes a trace.
pub struct TraceWriter<W> {
    out: W,
    /// Block ids are most of what is written: they are spelled here.
    digits: itoa::Buffer,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a trace of blocks of `block_tokens` tokens: writes the first line. `token_rule` says how
    /// text was counted as tokens, where there was text.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W, block_tokens: u32, token_rule: Option<&str>) -> io::Result<Self> {
        write!(out, "{{\"gorgo_trace\":1,\"block_size\":{block_tokens}")?;
        if let Some(rule) = token_rule {
            write!(out, ",\"tokens\":{}", serde_json::to_string(rule)?)?;
        }
        writeln!(out, "}}")?;
        Ok(Self { out, digits: itoa::Buffer::new() })
    }

    /// Writes one request, scheduled at `at`, which comes from `origin`. Times must not go backwards.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(&mut self, at: Nanos, request: &Request, origin: &Origin) -> io::Result<()> {
        let out = &mut self.out;
        let (ms, fraction) = (at.0 / 1_000_000, at.0 % 1_000_000);
        write!(out, "{{\"timestamp\":{ms}")?;
        if fraction != 0 {
            write!(out, ".{}", format!("{fraction:06}").trim_end_matches('0'))?;
        }
        write!(
            out,
            ",\"input_length\":{},\"output_length\":{},\"max_tokens\":{}",
            request.prompt.tokens(),
            request.output_tokens,
            request.max_tokens
        )?;
        if request.has_session {
            write!(out, ",\"session_id\":{},\"turn\":{}", request.id.session, request.id.turn)?;
        }
        if let Some(user) = request.user {
            write!(out, ",\"user_id\":{user}")?;
        }
        let names = [
            ("country", &origin.country),
            ("state", &origin.state),
            ("region", &origin.region),
            ("residency", &origin.residency),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                write!(out, ",\"{name}\":{}", serde_json::to_string(value)?)?;
            }
        }
        if let Some(position) = origin.position {
            write!(out, ",\"lat\":{},\"lon\":{}", position.lat, position.lon)?;
        }
        let digits = &mut self.digits;
        write_ids(out, digits, "hash_ids", request.prompt.ids())?;
        if let Some(sequence) = &request.sequence {
            write_ids(out, digits, "output_hash_ids", sequence.ids())?;
        }
        writeln!(out, "}}")
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn write_ids(
    out: &mut impl Write,
    digits: &mut itoa::Buffer,
    name: &str,
    ids: &[BlockId],
) -> io::Result<()> {
    write!(out, ",\"{name}\":[")?;
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        out.write_all(digits.format(id.0).as_bytes())?;
    }
    out.write_all(b"]")
}
