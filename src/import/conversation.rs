//! A conversation as a data set has it, and which requests it was: who asked what, after what, and when.
//!
//! An answer is a request; its prompt is everything before it. What becomes of gaps in the data is decided here, and
//! each decision is told to `tally`. Nothing here knows files or tokens.

use crate::tally::Event;
use gorgo_text::Role;
use std::ops::Range;

/// Where somebody is, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// Country.
    pub country: Option<String>,
    /// State or province.
    pub state: Option<String>,
}

impl Location {
    /// Whether there is no name.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.country.is_none() && self.state.is_none()
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// Where its text stands in the conversation's; none where the data has none.
    pub text: Option<Range<usize>>,
    /// When it was complete, microseconds since 1970.
    pub ended_us: Option<i64>,
    /// When the model began to answer, seconds since 1970.
    pub created_s: Option<i64>,
    /// Where its sender is; the conversation's place counts where there is none.
    pub location: Location,
    /// Its sender; the conversation's counts where there is none.
    pub user: Option<u64>,
    /// What the data set numbers it by.
    pub identifier: Option<i64>,
}

/// One conversation; its buffers serve row after row.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Tells it from all others.
    pub session: u64,
    /// The texts of all messages, one after the other.
    pub text: String,
    /// The messages in order.
    pub messages: Vec<Message>,
    /// When it ended, microseconds since 1970.
    pub ended_us: Option<i64>,
    /// Where the client is.
    pub location: Location,
    /// Who the client is.
    pub user: Option<u64>,
}

/// An answer that was asked for: the message after its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Index of the answer among the messages; the question is before it.
    pub(crate) answer: usize,
    /// When it was complete, microseconds since 1970; never before the turn before.
    pub(crate) ended_us: i64,
}

/// The longest that an answer may have taken for its two times to be believed, microseconds.
const LONGEST_ANSWER_US: i64 = 3_600 * 1_000_000;

impl Conversation {
    /// Empties it.
    pub fn clear(&mut self) {
        self.text.clear();
        self.messages.clear();
        (self.ended_us, self.user, self.session) = (None, None, 0);
        self.location = Location::default();
    }

    /// A message's text; empty where it has none.
    #[must_use]
    pub fn text_of(&self, message: &Message) -> &str {
        message.text.clone().map_or("", |range| &self.text[range])
    }

    /// The turns in order; gaps are told to `note`, with how many turns (or conversations) each concerns.
    pub(crate) fn turns(&self, gap_us: i64, mut note: impl FnMut(Event, u64)) -> Vec<Turn> {
        let answers = self.answers(&mut note);
        if answers.is_empty() {
            return Vec::new();
        }
        let Some(ends) = self.ends(&answers, gap_us, &mut note) else {
            note(Event::NoTime, 1);
            return Vec::new();
        };
        let mut latest = i64::MIN;
        let turns = answers.into_iter().zip(ends).map(|(answer, ended_us)| {
            if ended_us < latest {
                note(Event::TimeBack, 1);
            }
            latest = latest.max(ended_us);
            Turn { answer, ended_us: latest }
        });
        turns.collect()
    }

    /// The answers that were asked for and are there.
    fn answers(&self, note: &mut impl FnMut(Event, u64)) -> Vec<usize> {
        if self.messages.is_empty() {
            note(Event::NoMessages, 1);
            return Vec::new();
        }
        // What comes after a message whose text is missing has a prompt that nobody knows.
        let known = self.messages.iter().position(|message| message.text.is_none());
        let known = known.unwrap_or(self.messages.len());
        let lost = self.messages[known..].iter().filter(|m| m.role == Role::User).count();
        // An answer without text leaves its question, which is known, unanswered.
        let unanswered_here = self.messages.get(known).is_some_and(|m| m.role == Role::Assistant)
            && known > 0
            && self.messages[known - 1].role == Role::User;
        let lost = lost + usize::from(unanswered_here);
        if lost > 0 || known < self.messages.len() {
            note(Event::NoText, lost.max(1) as u64);
        }
        let mut answers = Vec::new();
        let mut asked = false;
        for (index, message) in self.messages[..known].iter().enumerate() {
            match message.role {
                Role::System => {}
                Role::User => {
                    if std::mem::replace(&mut asked, true) {
                        note(Event::NoAnswer, 1);
                    }
                }
                Role::Assistant if !asked => note(Event::NoQuestion, 1),
                Role::Assistant => {
                    asked = false;
                    if self.text_of(message).is_empty() {
                        note(Event::NoAnswer, 1);
                    } else {
                        answers.push(index);
                    }
                }
            }
        }
        if asked && !unanswered_here {
            note(Event::NoAnswer, 1);
        }
        answers
    }

    /// When the answers were complete: as recorded, the last one else with the conversation, the others else `gap_us`
    /// from their neighbours. None where there is no time at all.
    fn ends(
        &self,
        answers: &[usize],
        gap_us: i64,
        note: &mut impl FnMut(Event, u64),
    ) -> Option<Vec<i64>> {
        let mut ends: Vec<Option<i64>> =
            answers.iter().map(|&index| self.messages[index].ended_us).collect();
        if let Some(last) = ends.last_mut()
            && last.is_none()
            && let Some(ended_us) = self.ended_us
        {
            *last = Some(ended_us);
        }
        let unknown = ends.iter().filter(|end| end.is_none()).count();
        for i in (1..ends.len()).rev() {
            if ends[i - 1].is_none() {
                ends[i - 1] = ends[i].map(|end| (end - gap_us).max(0));
            }
        }
        for i in 1..ends.len() {
            if ends[i].is_none() {
                ends[i] = ends[i - 1].map(|end| end + gap_us);
            }
        }
        let ends: Option<Vec<i64>> = ends.into_iter().collect();
        if ends.is_some() && unknown > 0 {
            note(Event::TimeAssumed, unknown as u64);
        }
        ends
    }

    /// When the request of a turn was made, given the end of the turn before and how long an answer like this one is
    /// taken to last where the data does not say.
    pub(crate) fn arrival_us(
        &self,
        turn: Turn,
        before_us: Option<i64>,
        service_us: i64,
        mut note: impl FnMut(Event, u64),
    ) -> i64 {
        let created = self.messages[turn.answer].created_s.map(|s| s.saturating_mul(1_000_000));
        // Whole seconds, rounded down: an answer may end within the second that it began in.
        let created = created.filter(|&us| {
            let believed =
                us <= turn.ended_us && turn.ended_us - us <= LONGEST_ANSWER_US && us >= 0;
            if !believed {
                note(Event::CreatedElsewhere, 1);
            }
            believed
        });
        let arrival = created.unwrap_or_else(|| (turn.ended_us - service_us).max(0));
        match before_us {
            Some(before) if arrival < before => {
                note(Event::MovedBehind, 1);
                before
            }
            _ => arrival,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(messages: &[(Role, Option<&str>, Option<i64>)]) -> Conversation {
        let mut all = Conversation::default();
        for &(role, text, ended_us) in messages {
            let start = all.text.len();
            all.text.push_str(text.unwrap_or_default());
            all.messages.push(Message {
                role,
                text: text.map(|_| start..all.text.len()),
                ended_us,
                created_s: None,
                location: Location::default(),
                user: None,
                identifier: None,
            });
        }
        all
    }

    /// The turns' answers and ends, and what was counted.
    type Found = (Vec<(usize, i64)>, Vec<(Event, u64)>);

    fn turns(all: &Conversation) -> Found {
        let mut notes = Vec::new();
        let turns = all.turns(60, |event, count| notes.push((event, count)));
        (turns.into_iter().map(|turn| (turn.answer, turn.ended_us)).collect(), notes)
    }

    use Role::{Assistant as A, System as S, User as U};

    #[test]
    fn an_answer_is_a_request_and_recorded_times_are_kept() {
        let all = conversation(&[
            (S, Some("be brief"), None),
            (U, Some("hi"), None),
            (A, Some("hello"), Some(100)),
            (U, Some("more"), None),
            (A, Some("yes"), Some(900)),
        ]);
        assert_eq!(turns(&all), (vec![(2, 100), (4, 900)], vec![]));
    }

    #[test]
    fn times_that_are_missing_are_assumed_from_the_neighbours() {
        let talk = |times: [Option<i64>; 3], ended_us| {
            let [a, b, c] = times;
            let mut all = conversation(&[
                (U, Some("1"), None),
                (A, Some("a"), a),
                (U, Some("2"), None),
                (A, Some("b"), b),
                (U, Some("3"), None),
                (A, Some("c"), c),
            ]);
            all.ended_us = ended_us;
            turns(&all)
        };
        let times = |(turns, notes): Found| {
            (turns.into_iter().map(|(_, at)| at).collect::<Vec<_>>(), notes)
        };
        let assumed = |n| vec![(Event::TimeAssumed, n)];
        assert_eq!(times(talk([None; 3], Some(1000))), (vec![880, 940, 1000], assumed(2)));
        assert_eq!(times(talk([Some(5), None, None], None)), (vec![5, 65, 125], assumed(2)));
        assert_eq!(times(talk([None, Some(30), None], None)), (vec![0, 30, 90], assumed(2)));
        assert_eq!(times(talk([None; 3], None)), (vec![], vec![(Event::NoTime, 1)]));
        let back = talk([Some(50), Some(20), Some(60)], None);
        assert_eq!(times(back), (vec![50, 50, 60], vec![(Event::TimeBack, 1)]));
    }

    #[test]
    fn gaps_are_counted_and_never_passed_over_in_silence() {
        let at = Some(7);
        for (messages, answers, wanted) in [
            (vec![], vec![], vec![(Event::NoMessages, 1)]),
            (vec![(U, Some("hi"), None)], vec![], vec![(Event::NoAnswer, 1)]),
            (
                vec![(U, Some("a"), None), (U, Some("b"), None), (A, Some("c"), at)],
                vec![2],
                vec![(Event::NoAnswer, 1)],
            ),
            (
                vec![(A, Some("hello"), at), (U, Some("a"), None), (A, Some("b"), at)],
                vec![2],
                vec![(Event::NoQuestion, 1)],
            ),
            (vec![(U, Some("a"), None), (A, Some(""), at)], vec![], vec![(Event::NoAnswer, 1)]),
            (vec![(U, Some("a"), None), (A, None, at)], vec![], vec![(Event::NoText, 1)]),
            (
                vec![
                    (U, Some("a"), None),
                    (A, Some("b"), at),
                    (U, None, None),
                    (A, Some("c"), at),
                    (U, Some("d"), None),
                    (A, Some("e"), at),
                ],
                vec![1],
                vec![(Event::NoText, 2)],
            ),
        ] {
            let (turns, notes) = turns(&conversation(&messages));
            let found: Vec<usize> = turns.into_iter().map(|(answer, _)| answer).collect();
            assert_eq!((found, notes), (answers, wanted), "{messages:?}");
        }
    }

    #[test]
    fn a_request_came_when_its_answer_began_and_after_the_turn_before() {
        let second = 1_000_000;
        let arrival = |created_s, ended_us, before, service| {
            let mut all = conversation(&[(U, Some("a"), None), (A, Some("b"), Some(ended_us))]);
            all.messages[1].created_s = created_s;
            let mut notes = Vec::new();
            let turn = Turn { answer: 1, ended_us };
            let at = all.arrival_us(turn, before, service, |event, _| notes.push(event));
            (at, notes)
        };
        assert_eq!(arrival(None, 50 * second, None, 0), (50 * second, vec![]));
        assert_eq!(arrival(None, 50 * second, None, 2 * second), (48 * second, vec![]));
        assert_eq!(arrival(Some(41), 50 * second, None, 0), (41 * second, vec![]));
        let elsewhere = vec![Event::CreatedElsewhere];
        assert_eq!(arrival(Some(51), 50 * second, None, 0), (50 * second, elsewhere.clone()));
        assert_eq!(arrival(Some(-9), 50 * second, None, 0), (50 * second, elsewhere.clone()));
        assert_eq!(arrival(Some(i64::MAX), 50 * second, None, 0), (50 * second, elsewhere.clone()));
        assert_eq!(arrival(Some(9), 5_000 * second, None, 0), (5_000 * second, elsewhere));
        let moved = vec![Event::MovedBehind];
        assert_eq!(arrival(Some(41), 50 * second, Some(45 * second), 0), (45 * second, moved));
        assert_eq!(arrival(None, second, None, 9 * second), (0, vec![]));
    }
}
