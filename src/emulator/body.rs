//! The body of an answer: at once, or token by token as they are due.

use crate::fault::Health;
use crate::station::{Answering, Emitted};
use crate::token_text::TokenText;
use crate::wire::Desk;
use bytes::Bytes;
use gorgo_wire::reply::{Finish, Reply};
use gorgo_wire::{Api, ReplicaTimes, Usage};
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A response's body.
pub(crate) enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// A stream.
    Tokens(Box<TokenStream>),
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Tokens(stream) => {
                stream.poll(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Tokens(_) => SizeHint::default(),
        }
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub api: Api,
    pub include_usage: bool,
    pub continuous_usage: bool,
    pub report_times: bool,
    pub tokens_per_chunk: u32,
    pub finish: Finish,
}

/// What an answer is made of.
pub(crate) struct Answer {
    pub answering: Answering,
    pub reply: Reply,
    pub text: TokenText,
    pub form: Form,
    pub usage: Usage,
    /// Told what goes out.
    pub desk: Arc<Desk>,
    pub health: Arc<Health>,
}

/// An answer that streams.
pub(crate) struct TokenStream {
    answer: Answer,
    times: Option<ReplicaTimes>,
    /// Text that has not been written yet; in SGLang's own dialect all text so far.
    text: String,
    /// Tokens that it has more than what was written.
    held: u32,
    begun: bool,
    done: bool,
}

impl TokenStream {
    pub fn new(answer: Answer) -> Self {
        Self { answer, times: None, text: String::new(), held: 0, begun: false, done: false }
    }

    /// Everything that is due: several events where more than one is.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.done {
            return Poll::Ready(None);
        }
        if self.answer.health.poll_answers(context.waker()).is_pending() {
            return Poll::Pending;
        }
        let mut out = Vec::new();
        loop {
            match self.answer.answering.emitted.poll_recv(context) {
                Poll::Ready(Some(emitted)) => self.take(emitted, &mut out),
                // The replica has lost the request: the connection is about to be reset.
                Poll::Ready(None) if out.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
            if self.done {
                break;
            }
        }
        if out.is_empty() { Poll::Pending } else { Poll::Ready(Some(out.into())) }
    }

    fn take(&mut self, emitted: Emitted, out: &mut Vec<u8>) {
        let answer = &mut self.answer;
        match emitted {
            Emitted::First { cached_tokens, times } => {
                answer.usage.cached_tokens = Some(cached_tokens);
                self.times = Some(times);
            }
            Emitted::Token { due } => {
                if !self.begun {
                    self.begun = true;
                    answer.reply.begin(out);
                }
                answer.text.next(&mut self.text);
                answer.usage.completion_tokens += 1;
                self.held += 1;
                answer.desk.due(due);
                // The last token's event says that it is the last: the news of that is right behind.
                let last = answer.usage.completion_tokens >= answer.answering.output_tokens;
                if self.held >= answer.form.tokens_per_chunk && !last {
                    self.write(None, out);
                }
            }
            Emitted::Finished { .. } => {
                let finish = answer.form.finish;
                self.write(Some(finish), out);
                let answer = &self.answer;
                let form = answer.form;
                let usage = form.include_usage.then_some(&answer.usage);
                let times = self.times.as_ref().filter(|_| form.report_times);
                answer.reply.end(usage, times, out);
                self.done = true;
            }
        }
    }

    fn write(&mut self, finish: Option<Finish>, out: &mut Vec<u8>) {
        let Answer { reply, form, usage, .. } = &self.answer;
        reply.text(&self.text, finish, usage, form.continuous_usage, out);
        self.held = 0;
        if form.api != Api::Generate {
            self.text.clear();
        }
    }
}

/// Waits for the whole answer. None: the replica has lost the request.
pub(crate) async fn whole(mut answer: Answer) -> Option<Vec<u8>> {
    let (mut text, mut times) = (String::new(), None);
    while let Some(emitted) = answer.answering.emitted.recv().await {
        match emitted {
            Emitted::First { cached_tokens, times: told } => {
                answer.usage.cached_tokens = Some(cached_tokens);
                times = Some(told);
            }
            Emitted::Token { .. } => {
                answer.text.next(&mut text);
                answer.usage.completion_tokens += 1;
            }
            Emitted::Finished { due } => {
                answer.health.answers().await;
                let times = times.as_ref().filter(|_| answer.form.report_times);
                let body = answer.reply.whole(&text, answer.form.finish, &answer.usage, times);
                answer.desk.due(due);
                return Some(body);
            }
        }
    }
    None
}

/// The present as seconds since 1970, for `created`.
pub(crate) fn unix_seconds() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
