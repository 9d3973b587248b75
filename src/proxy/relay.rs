//! A replica's response body on its way to the client: each piece goes on as it comes, and only as fast as the client
//! takes it. The router hears of the first token and of the end; a client that goes away drops this, and with it the
//! connection to the replica.
//!
//! Bytes are never changed. Events are parsed until the first one with text, and the last kilobytes at the end, for
//! the usage; those between are not looked at.

use crate::answer::BodyError;
use crate::flight::Flight;
use crate::upstream::Link;
use bytes::Bytes;
use gorgo_wire::{Api, EventStream, Piece, Usage, WireError};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// The usage of an answer stands in its last bytes; those of a whole answer may be all of it.
const TAIL_BYTES: usize = 16 << 10;
/// Whole answers longer than this are not searched for their usage.
const MOST_WHOLE_BYTES: usize = 4 << 20;

/// See the module.
pub(crate) struct Relay {
    link: Option<Link>,
    body: Incoming,
    flight: Flight,
    watch: Watch,
    /// The longest pause between two pieces.
    pause: Duration,
    heard: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// The first piece, which was waited for before the head went on.
    held: Option<Frame<Bytes>>,
    /// A piece was handed on since there was last nothing to hand on: the writer may not have sent it yet.
    given: bool,
    /// How it broke off, to be said as soon as the writer has sent what it has.
    broken: Option<BodyError>,
}

/// What is noticed of the bytes that pass.
#[derive(Debug)]
pub(crate) struct Watch {
    api: Api,
    /// Events until the first one with text; none: it has come, or the answer is no stream.
    first: Option<EventStream>,
    is_stream: bool,
    any: bool,
    tail: Vec<u8>,
    /// The answer is too long to be searched.
    too_long: bool,
}

impl Watch {
    pub(crate) fn new(api: Api, is_stream: bool) -> Self {
        let first = is_stream.then(EventStream::default);
        Self { api, first, is_stream, any: false, tail: Vec::new(), too_long: false }
    }

    /// Looks at a piece. True: the first token is in it.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> bool {
        let began = std::mem::replace(&mut self.any, true);
        self.keep(bytes);
        let Some(events) = &mut self.first else { return !self.is_stream && !began };
        let (api, mut found) = (self.api, false);
        let read = events.push(bytes, |data| {
            // What is no event of the dialect has no text either; the client will see it for itself.
            found |= Piece::parse(api, data).is_ok_and(|piece| piece.has_text);
            Ok::<(), WireError>(())
        });
        if found || read.is_err() {
            self.first = None;
        }
        found
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.is_stream {
            self.too_long |= self.tail.len() + bytes.len() > MOST_WHOLE_BYTES;
            if !self.too_long {
                self.tail.extend_from_slice(bytes);
            }
            return;
        }
        if self.tail.len() + bytes.len() > 2 * TAIL_BYTES {
            let gone = self.tail.len().saturating_sub(TAIL_BYTES);
            self.tail.drain(..gone);
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
    }

    /// The engine's usage, where it was told.
    pub(crate) fn usage(&self) -> Option<Usage> {
        if self.too_long {
            return None;
        }
        if !self.is_stream {
            return Piece::parse(self.api, &self.tail).ok()?.usage;
        }
        // From the end, the first event with a usage: that of SGLang's own stream is in each, and the last one counts.
        self.tail.rsplit(|&byte| byte == b'\n').find_map(|line| {
            let data = line.strip_prefix(b"data:")?.trim_ascii();
            let telling = data.windows(13).any(|word| word == b"prompt_tokens");
            telling.then(|| Piece::parse(self.api, data).ok()?.usage).flatten()
        })
    }
}

impl Relay {
    pub(crate) fn new(
        link: Link,
        body: Incoming,
        flight: Flight,
        watch: Watch,
        pause: Duration,
    ) -> Self {
        let heard = Instant::now();
        let (link, timer, held, given, broken) = (Some(link), None, None, false, None);
        let mut relay =
            Self { link, body, flight, watch, pause, heard, timer, held, given, broken };
        if relay.body.is_end_stream() {
            relay.end();
        }
        relay
    }

    /// Waits for the first piece, and holds it. Until then nothing has reached the client, so that another replica can
    /// still be asked.
    pub(crate) async fn first(&mut self) -> Result<(), BodyError> {
        match poll_fn(|cx| self.poll_piece(cx)).await {
            None => Ok(()),
            Some(Ok(frame)) => {
                self.held = Some(frame);
                Ok(())
            }
            Some(Err(error)) => Err(error),
        }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.link.is_none() && self.held.is_none() && self.broken.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint();
        let held = self.held.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }

    /// All of the body has passed.
    fn end(&mut self) {
        if let Some(link) = self.link.take() {
            self.flight.replica().gate().give_back(link);
            self.flight.finished(self.watch.usage());
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.held.take() {
            self.given = true;
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.poll_piece(cx) {
            Poll::Ready(Some(Err(error))) if self.given => {
                // The writer throws away what it has not sent when a body breaks off; at rest it sends first.
                self.broken = Some(error);
                self.given = false;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => {
                self.given = polled.is_ready();
                polled
            }
        }
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(link) = &mut self.link else { return Poll::Ready(None) };
        match link.poll_body(cx, &mut self.body) {
            Poll::Ready(Some(Ok(frame))) => {
                self.heard = Instant::now();
                if let Some(bytes) = frame.data_ref()
                    && self.watch.pass(bytes)
                {
                    self.flight.first_token();
                }
                if self.body.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.broke(error.into())))),
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_pause(cx),
        }
    }

    /// The body breaks off here; the client's connection is broken too, so that it cannot be taken for whole.
    fn broke(&mut self, error: BodyError) -> BodyError {
        self.link = None;
        self.flight.failed(&error.to_string());
        error
    }

    /// The timer runs past pieces that came meanwhile, and is set anew when it goes off, so that a piece costs nothing.
    fn poll_pause(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let heard = self.heard;
            let timer = self.timer.get_or_insert_with(|| {
                Box::pin(tokio::time::sleep_until((heard + self.pause).into()))
            });
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if heard.elapsed() >= self.pause {
                let pause = self.pause.as_millis();
                let error = format!("the replica has sent nothing for {pause} ms").into();
                return Poll::Ready(Some(Err(self.broke(error))));
            }
            timer.as_mut().reset((heard + self.pause).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_and_the_usage_are_found_wherever_bytes_are_cut() {
        let stream = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\
            \"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\ndata: [DONE]\n\n";
        let text_ends = stream.find("hi").unwrap() + "hi\"}}]}\n\n".len();
        for cut in 1..stream.len() {
            let mut watch = Watch::new(Api::Chat, true);
            let first = watch.pass(&stream.as_bytes()[..cut]);
            let second = watch.pass(&stream.as_bytes()[cut..]);
            assert_eq!((first, second), (cut >= text_ends, cut < text_ends), "{cut}");
            assert_eq!(watch.usage().and_then(|usage| usage.cached_tokens), Some(8), "{cut}");
        }
    }

    #[test]
    fn a_whole_answer_has_its_first_token_at_once_and_its_usage_anywhere() {
        let mut watch = Watch::new(Api::Completions, false);
        assert!(watch.pass(b"{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1},"));
        assert!(!watch.pass(b"\"choices\":[{\"text\":\"x\"}]}"));
        assert_eq!(watch.usage().map(|usage| usage.prompt_tokens), Some(3));
    }

    #[test]
    fn what_is_kept_of_a_long_stream_is_bounded() {
        let mut watch = Watch::new(Api::Chat, true);
        for _ in 0..2_000 {
            watch.pass(&[b'x'; 900]);
        }
        watch.pass(&vec![b'y'; 1 << 20]);
        assert!(watch.tail.len() <= 2 * TAIL_BYTES + 900);
        let mut whole = Watch::new(Api::Chat, false);
        whole.pass(&vec![b'y'; MOST_WHOLE_BYTES + 1]);
        assert!(whole.tail.is_empty() && whole.usage().is_none());
    }
}
