//! Server-sent events out of bytes that may be cut anywhere.

use crate::WireError;

/// The longest event that is read: no engine puts more than a few tokens in one.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// Reads a stream of server-sent events. Comments and fields other than `data` are skipped; the lines of one event's data
/// are joined by line feeds, as the format says.
#[derive(Debug, Default)]
pub struct EventStream {
    /// A line that is not complete.
    line: Vec<u8>,
    /// The data of an event that is not complete.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return: a line feed that follows ends the same line.
    after_return: bool,
}

impl EventStream {
    /// Takes the next bytes and gives the data of every event that they complete.
    ///
    /// # Errors
    /// When an event is too long, or whatever `event` returns.
    pub fn push<E: From<WireError>>(
        &mut self,
        mut bytes: &[u8],
        mut event: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.after_return {
                self.after_return = false;
                if bytes[0] == b'\n' {
                    bytes = &bytes[1..];
                    continue;
                }
            }
            let Some(end) = bytes.iter().position(|&b| b == b'\n' || b == b'\r') else {
                self.line.extend_from_slice(bytes);
                return Ok(self.check()?);
            };
            self.after_return = bytes[end] == b'\r';
            if self.line.is_empty() {
                self.take(&bytes[..end], &mut event)?;
            } else {
                self.line.extend_from_slice(&bytes[..end]);
                let mut line = std::mem::take(&mut self.line);
                let taken = self.take(&line, &mut event);
                line.clear();
                self.line = line;
                taken?;
            }
            self.check()?;
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    fn check(&self) -> Result<(), WireError> {
        if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
            return Err(WireError::LongEvent { limit: MAX_EVENT_BYTES });
        }
        Ok(())
    }

    fn take<E>(
        &mut self,
        line: &[u8],
        event: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if line.is_empty() {
            let told = if self.has_data { event(&self.data) } else { Ok(()) };
            self.data.clear();
            self.has_data = false;
            return told;
        }
        if let Some(rest) = line.strip_prefix(b"data")
            && let Some(value) = rest.strip_prefix(b":").or(rest.is_empty().then_some(rest))
        {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.has_data = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut stream, mut got) = (EventStream::default(), Vec::new());
        for piece in pieces {
            let pushed: Result<(), WireError> = stream.push(piece, |data| {
                got.push(String::from_utf8_lossy(data).into_owned());
                Ok(())
            });
            pushed.unwrap();
        }
        got
    }

    #[test]
    fn events_are_told_apart() {
        let stream = b": hello\n\nevent: x\r\ndata: one\r\n\r\ndata:two\ndata: lines\n\ndata\n\nid: 7\n\ndatax: no\n\ndata: cut";
        assert_eq!(events(&[stream]), ["one", "two\nlines", ""]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut stream = EventStream::default();
        let piece = vec![b'x'; MAX_EVENT_BYTES];
        let mut push = |piece: &[u8]| stream.push(piece, |_| Ok::<(), WireError>(()));
        assert!(push(b"data: ").is_ok());
        assert!(push(&piece).is_err());
        let mut stream = EventStream::default();
        let lines = b"data: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n".repeat(30_000);
        assert!(stream.push(&lines, |_| Ok::<(), WireError>(())).is_err());
    }

    proptest! {
        #[test]
        fn where_bytes_are_cut_changes_nothing(cuts in prop::collection::vec(0usize..90, 0..8)) {
            let stream: &[u8] = "data: {\"a\":\"é\"}\r\n\r\n:c\rdata: two\rdata:\r\rdata: [DONE]\n\nretry: 3\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.push(0);
            cuts.push(stream.len());
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&pieces), events(&[stream]));
        }
    }
}
