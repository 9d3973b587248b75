//! Writes requests in gorgo's trace format, one JSON object per line. Block ids are written as they are chained, so a
//! trace read back has other ids with the same matches.

use gorgo_types::{BlockId, Nanos, Origin, Request};
use std::io::{self, Write};

/// Writes a trace.
pub struct TraceWriter<W> {
    out: W,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a trace of blocks of `block_tokens` tokens: writes the first line.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W, block_tokens: u32) -> io::Result<Self> {
        writeln!(out, "{{\"gorgo_trace\":1,\"block_size\":{block_tokens}}}")?;
        Ok(Self { out })
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
        for (name, value) in
            [("country", &origin.country), ("state", &origin.state), ("region", &origin.region)]
        {
            if let Some(value) = value {
                write!(out, ",\"{name}\":{}", serde_json::to_string(value)?)?;
            }
        }
        if let Some(position) = origin.position {
            write!(out, ",\"lat\":{},\"lon\":{}", position.lat, position.lon)?;
        }
        write_ids(out, "hash_ids", request.prompt.ids())?;
        if let Some(sequence) = &request.sequence {
            write_ids(out, "output_hash_ids", sequence.ids())?;
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

fn write_ids(out: &mut impl Write, name: &str, ids: &[BlockId]) -> io::Result<()> {
    write!(out, ",\"{name}\":[")?;
    for (i, id) in ids.iter().enumerate() {
        write!(out, "{}{}", if i == 0 { "" } else { "," }, id.0)?;
    }
    write!(out, "]")
}
