//! domain: When a bot falls silent for an address, because a machine seems to answer it.
//!
//! A bot and an auto-responder answer one another for ever, and a bot that closes begins a new
//! conversation for each message. So rounds, a message of the contact and the bot's answer to it,
//! are counted for each address, over all conversations. Three measures, since machines differ and
//! a human with a quick questionnaire must not be taken for one:
//!
//! * [`SAME`] rounds in a row that are the same but for their digits, on both sides. A human who
//!   taps “yes” ten times gets ten different questions; whoever writes and hears the same for the
//!   fifth time is a machine (“I am out of office. Ref 7”), or a human whom this bot does not help.
//! * [`FAST`] answers within [`STRETCH`] to messages that came sooner than anybody types
//!   ([`is_faster_than_fingers`]). Not fewer: a phone that was out of reach delivers what was typed
//!   in a lift at once. Ten quick questions, answered with a tap each, are slow by this measure.
//! * [`MANY`] answers within [`STRETCH`], for machines that take their time: three rounds a minute
//!   over ten minutes is more than people talk to a bot.
//!
//! It answers again after an hour in which nothing was written ([`QUIET`]), or when a human says so.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::Conversation;
use crate::ids::ConversationId;

/// How long answers are counted together.
pub const STRETCH: TimeDelta = TimeDelta::minutes(10);
pub const SAME: i32 = 5;
pub const FAST: i32 = 10;
pub const MANY: i32 = 30;
/// After so long without a message the bot answers again. Rounds so far apart are not counted together either.
pub const QUIET: TimeDelta = TimeDelta::hours(1);

/// How bots and one address have been answering one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// When the stretch of `answers` and `fast` began.
    pub began_at: DateTime<Utc>,
    pub answers: i32,
    pub fast: i32,
    /// Of the last message that was answered, or would have been.
    pub last_at: DateTime<Utc>,
    /// Fingerprints of both sides of the last round, and how often in a row it was so.
    pub heard: i64,
    pub said: i64,
    pub same: i32,
    pub silent_since: Option<DateTime<Utc>>,
    /// Where it fell silent, also when that is over.
    pub silent_in: Option<ConversationId>,
}

/// Why a bot falls silent. The text is shown in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    #[error("{SAME} rounds with the same words on both sides. It may be talking to a machine.")]
    Same,
    #[error(
        "{FAST} answers within 10 minutes to messages that came sooner than anybody types. It may be talking to a machine."
    )]
    Fast,
    #[error("{MANY} answers within 10 minutes. It may be talking to a machine.")]
    Many,
}

impl Rounds {
    /// Before the first one.
    pub fn none(now: DateTime<Utc>) -> Rounds {
        let (heard, said) = (0, 0);
        let (silent_since, silent_in) = (None, None);
        Rounds { began_at: now, answers: 0, fast: 0, last_at: now, heard, said, same: 0, silent_since, silent_in }
    }

    pub fn is_silent(&self, now: DateTime<Utc>) -> bool {
        self.silent_since.is_some() && now - self.last_at < QUIET
    }

    /// Whether the bot fell silent in this conversation, that is over, and no human has taken it up since.
    pub fn goes_on_in(&self, it: &Conversation, now: DateTime<Utc>) -> bool {
        let untouched = it.unanswered_since.is_some() && it.assigned_to.is_none();
        self.silent_in == Some(it.id) && !self.is_silent(now) && untouched
    }

    /// Whether a bot should not answer this message either, and why.
    pub fn too_many(&self, text: &str, now: DateTime<Utc>) -> Option<TooMany> {
        let counted = self.stretch(now);
        if self.same >= SAME && self.heard == fingerprint(text) && now - self.last_at < QUIET {
            Some(TooMany::Same)
        } else if counted.fast >= FAST && self.is_fast(text, now) {
            Some(TooMany::Fast)
        } else if counted.answers >= MANY {
            Some(TooMany::Many)
        } else {
            None
        }
    }

    /// With a round more: the bot answered this text with these.
    pub fn answered<'a>(&self, text: &str, with: impl Iterator<Item = &'a str>, now: DateTime<Utc>) -> Rounds {
        let counted = self.stretch(now);
        let (heard, said) = (fingerprint(text), fingerprint(&with.collect::<Vec<_>>().join("\n")));
        let again = (self.heard, self.said) == (heard, said) && now - self.last_at < QUIET;
        Rounds {
            answers: counted.answers + 1,
            fast: counted.fast + i32::from(self.is_fast(text, now)),
            last_at: now,
            same: if again { self.same + 1 } else { 1 },
            heard,
            said,
            silent_since: None,
            ..counted
        }
    }

    /// From now on silent, as it was noticed in this conversation.
    pub fn silent(&self, within: ConversationId, now: DateTime<Utc>) -> Rounds {
        Rounds { last_at: now, silent_since: Some(now), silent_in: Some(within), ..*self }
    }

    /// Silent as before: something was written.
    pub fn still_silent(&self, now: DateTime<Utc>) -> Rounds {
        Rounds { last_at: now, ..*self }
    }

    /// As counted in the stretch that `now` is in; a silence that is over begins a new one.
    fn stretch(&self, now: DateTime<Utc>) -> Rounds {
        let over = now - self.began_at >= STRETCH || self.silent_since.is_some();
        if over { Rounds { began_at: now, answers: 0, fast: 0, same: 0, ..*self } } else { *self }
    }

    fn is_fast(&self, text: &str, now: DateTime<Utc>) -> bool {
        self.answers > 0 && is_faster_than_fingers(text, now - self.last_at)
    }
}

/// Whether nobody reads an answer and types this text so soon after it: a second to look and tap, and ten
/// characters a second, which is twice as fast as the fastest on a phone.
pub fn is_faster_than_fingers(text: &str, after: TimeDelta) -> bool {
    let typing = TimeDelta::milliseconds(100 * text.chars().take(100).count() as i64);
    after < TimeDelta::seconds(1) + typing
}

/// A text as rounds compare it: its letters, or its digits where it has no letters.
fn fingerprint(text: &str) -> i64 {
    let letters: String = text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    let what = if letters.is_empty() { text.trim().to_owned() } else { letters };
    let hash: [u8; 32] = Sha256::digest(what.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        "2026-03-02T09:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::milliseconds(milliseconds)
    }

    /// Messages a while apart, each answered: how many, until which reason not to.
    fn talk(
        n: usize,
        every: i64,
        text: impl Fn(usize) -> String,
        answer: impl Fn(usize) -> String,
    ) -> (usize, Option<TooMany>) {
        let mut rounds = Rounds::none(at(0));
        for i in 0..n {
            let (said, now) = (text(i), at(i as i64 * every));
            if let Some(why) = rounds.too_many(&said, now) {
                return (i, Some(why));
            }
            rounds = rounds.answered(&said, std::iter::once(answer(i).as_str()), now);
        }
        (n, None)
    }

    #[test]
    fn rounds_that_are_the_same_but_for_their_digits_are_five() {
        let thanks = |_| "Thanks, we got it.".to_owned();
        let away = |i| format!("I am out of office. Ref {i}");
        for every in [0, 200, 20_000, 30 * 60_000] {
            assert_eq!(talk(40, every, away, thanks), (5, Some(TooMany::Same)), "{every}");
        }
        assert_eq!(talk(40, 60 * 60_000, away, thanks), (40, None), "an hour apart they are not the same talk");
        let ticket = |i| format!("Your ticket is {i}.");
        assert_eq!(talk(40, 5000, away, ticket).0, 5, "both sides may count up");
    }

    #[test]
    fn answers_to_what_nobody_can_have_typed_are_ten() {
        let words = |i: usize| format!("{} is away, and nothing is read", "x".repeat(i + 1));
        let (n, why) = talk(40, 2000, words, |_| "Thanks.".to_owned());
        assert_eq!((n, why), (FAST as usize + 1, Some(TooMany::Fast)), "the first is no answer to anything");
        assert_eq!(talk(29, 9000, words, |_| "Thanks.".to_owned()), (29, None), "this slowly somebody may type");
    }

    #[test]
    fn a_human_who_is_asked_quick_questions_goes_on() {
        let question = |i: usize| format!("Question {}?", "x".repeat(i));
        for said in ["yes", "5", "no thanks"] {
            assert_eq!(talk(25, 2000, |_| said.to_owned(), question), (25, None), "{said}");
        }
        let scores = |i: usize| format!("{}", i % 5 + 1);
        assert_eq!(
            talk(20, 1200, scores, |_| "Thank you. And the next?".to_owned()),
            (20, None),
            "other digits are other words"
        );
        // What a phone delivers at once when it is back.
        assert_eq!(talk(8, 0, question, |_| "I see.".to_owned()), (8, None));
    }

    #[test]
    fn thirty_answers_within_ten_minutes_are_enough_for_anybody() {
        let letters = |i: usize| "x".repeat(i + 1);
        assert_eq!(talk(60, 15_000, letters, letters), (MANY as usize, Some(TooMany::Many)));
        assert_eq!(talk(60, 21_000, letters, letters), (60, None));
    }

    #[test]
    fn it_is_over_after_an_hour_without_a_message() {
        let (here, minute) = (ConversationId(7), |n: i64| at(n * 60_000));
        let mut rounds = Rounds::none(minute(0)).answered("a", ["b"].into_iter(), minute(0)).silent(here, minute(1));
        assert!(rounds.is_silent(minute(60)) && !rounds.is_silent(minute(61)));
        rounds = rounds.still_silent(minute(50));
        assert!(rounds.is_silent(minute(109)) && !rounds.is_silent(minute(110)));
        assert_eq!(rounds.too_many("a", minute(110)), None);
        let after = rounds.answered("a", ["b"].into_iter(), minute(110));
        assert_eq!((after.answers, after.same, after.silent_since), (1, 1, None));
    }

    #[test]
    fn tapping_takes_a_second_and_typing_longer() {
        for (text, milliseconds, faster) in
            [("5", 900, true), ("5", 1100, false), ("out of office", 2000, true), ("out of office", 2400, false)]
        {
            assert_eq!(is_faster_than_fingers(text, TimeDelta::milliseconds(milliseconds)), faster, "{text}");
        }
        assert!(!is_faster_than_fingers(&"x".repeat(5000), TimeDelta::seconds(11)), "what is long may be pasted");
    }
}
