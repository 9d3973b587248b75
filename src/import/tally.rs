//! What an import met: counts, and every gap in the data with its number and first place.

use std::fmt;

/// Something in the data that had to be decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A conversation without messages: skipped.
    NoMessages,
    /// A conversation that came before: skipped.
    Duplicate,
    /// A conversation without any time: skipped.
    NoTime,
    /// A turn whose question or answer has no text (null), with all turns after it: skipped.
    NoText,
    /// A question without an answer, or with an empty one: no request; its text stays before what follows.
    NoAnswer,
    /// An answer to no question: no request; its text stays before what follows.
    NoQuestion,
    /// A turn whose prompt has no character: skipped.
    EmptyPrompt,
    /// A turn without a time of its own.
    TimeAssumed,
    /// A turn recorded before the turn it follows.
    TimeBack,
    /// An answer whose `created` is after its end or over an hour before it: not believed.
    CreatedElsewhere,
    /// A request that would have come before the end of the turn before.
    MovedBehind,
    /// A place that the table of places does not know, where regions were asked for.
    PlaceUnknown,
    /// A prompt that the table of places has no entry for.
    HashMissing,
    /// A prompt whose hash in the file is not that of its text.
    HashDiffers,
    /// A request whose answer has no known length.
    LengthAssumed,
}

const EVENTS: usize = Event::LengthAssumed as usize + 1;

impl Event {
    /// All of them.
    const ALL: [Self; EVENTS] = [
        Self::NoMessages,
        Self::Duplicate,
        Self::NoTime,
        Self::NoText,
        Self::NoAnswer,
        Self::NoQuestion,
        Self::EmptyPrompt,
        Self::TimeAssumed,
        Self::TimeBack,
        Self::CreatedElsewhere,
        Self::MovedBehind,
        Self::PlaceUnknown,
        Self::HashMissing,
        Self::HashDiffers,
        Self::LengthAssumed,
    ];

    /// Whether something of the data is not in the trace for it.
    #[must_use]
    pub const fn is_skip(self) -> bool {
        matches!(
            self,
            Self::NoMessages
                | Self::Duplicate
                | Self::NoTime
                | Self::NoText
                | Self::NoAnswer
                | Self::NoQuestion
                | Self::EmptyPrompt
        )
    }

    /// What was counted, and what was done.
    const fn text(self) -> &'static str {
        match self {
            Self::NoMessages => "conversations without messages: skipped",
            Self::Duplicate => "conversations that came before: skipped",
            Self::NoTime => "conversations without any time: skipped",
            Self::NoText => "turns without text (null), or after a message without text: skipped",
            Self::NoAnswer => {
                "questions without an answer: no request, their text stays in the later prompts"
            }
            Self::NoQuestion => {
                "answers to no question: no request, their text stays in the later prompts"
            }
            Self::EmptyPrompt => "turns whose prompt is empty: skipped",
            Self::TimeAssumed => {
                "turns without a time of their own: placed at the turn gap from their neighbours"
            }
            Self::TimeBack => "turns recorded before the turn they follow: placed with it",
            Self::CreatedElsewhere => {
                "answers whose `created` is after their end or over an hour before: not used"
            }
            Self::MovedBehind => {
                "requests that would come before the turn before has ended: moved to its end"
            }
            Self::PlaceUnknown => {
                "requests from places that the table of places does not know: the unknown place taken"
            }
            Self::HashMissing => "prompts without a place in the look-up: the unknown place taken",
            Self::HashDiffers => {
                "prompts whose hash in the file is not that of their text: the text's looked up first"
            }
            Self::LengthAssumed => "requests without a length of the answer: 128 tokens taken",
        }
    }

    /// The field that is at fault, and what was wanted there, for an import that skips nothing.
    pub(crate) const fn wanted(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NoMessages => ("conversation", "no message", "at least one message"),
            Self::Duplicate => {
                ("conversation_hash", "a conversation that came before", "each conversation once")
            }
            Self::NoTime => ("timestamp", "null", "a time of the turn or of the conversation"),
            Self::NoText => ("conversation.content", "null", "a text"),
            Self::NoAnswer => ("conversation", "a question without an answer", "an answer to each"),
            Self::NoQuestion => {
                ("conversation", "an answer to no question", "a question before each answer")
            }
            Self::EmptyPrompt => ("conversation.content", "an empty prompt", "a text"),
            _ => ("conversation", "a gap", "none"),
        }
    }
}

/// What an import read and wrote.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Conversations (or prompts) read.
    pub conversations: u64,
    /// Requests written.
    pub requests: u64,
    /// Bytes of their texts, as UTF-8; a message counts once, in however many prompts it stands.
    pub text_bytes: u64,
    /// From the first to the last request, in seconds.
    pub span_s: f64,
    counts: [u64; EVENTS],
    first: [Option<String>; EVENTS],
}

impl Imported {
    /// How often something was met.
    #[must_use]
    pub const fn count(&self, event: Event) -> u64 {
        self.counts[event as usize]
    }

    /// Counts it; the first place is kept.
    pub(crate) fn add(&mut self, event: Event, times: u64, place: impl fmt::Display) {
        self.counts[event as usize] += times;
        self.first[event as usize].get_or_insert_with(|| place.to_string());
    }

    /// One sentence for everything that was decided on, with its number and where it was first met.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |event: &Event| {
            let first = self.first[*event as usize].as_ref()?;
            Some(format!("{} {} (first: {first})", self.count(*event), event.text()))
        };
        Event::ALL.iter().filter_map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_listed_at_its_own_index() {
        for (index, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index, "{event:?}");
        }
    }

    #[test]
    fn notes_have_the_number_and_the_first_place() {
        let mut imported = Imported::default();
        imported.add(Event::NoAnswer, 2, "a: row 7");
        imported.add(Event::NoAnswer, 1, "a: row 9");
        let notes = imported.notes();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("3 questions") && notes[0].ends_with("(first: a: row 7)"));
    }
}
