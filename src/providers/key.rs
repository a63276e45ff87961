//! What a send is called when a provider hears of it, and when it tells of it.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::ids::{MessageId, RunId};

/// One try at one message, wherever it comes from. Its text is what providers see and give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendKey {
    Delivery(DeliveryKey),
    Message(MessageKey),
}

/// One try at one contact of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    pub run: RunId,
    pub seq: i32,
    pub attempt: i16,
}

/// One try at one message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey {
    pub id: MessageId,
    pub attempt: i16,
}

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.run, self.seq, self.attempt)
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}-{}", self.id, self.attempt)
    }
}

impl fmt::Display for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendKey::Delivery(key) => key.fmt(f),
            SendKey::Message(key) => key.fmt(f),
        }
    }
}

impl From<DeliveryKey> for SendKey {
    fn from(key: DeliveryKey) -> Self {
        SendKey::Delivery(key)
    }
}

impl From<MessageKey> for SendKey {
    fn from(key: MessageKey) -> Self {
        SendKey::Message(key)
    }
}

/// How a provider names the send that it speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StatusKey {
    Ours(SendKey),
    /// Its own reference, as it gave it when it accepted the send.
    Theirs(String),
    /// By both: from now on it is told of by theirs alone.
    Named {
        ours: SendKey,
        theirs: String,
    },
    /// Its own reference of something that went to this address, perhaps from somebody else who has the same account.
    /// It is waited for only while a send of ours to there has no answer.
    TheirsTo {
        theirs: String,
        to: String,
    },
    /// The same of a provider that never says our name: where exactly one send to there is unconfirmed, it is that.
    TheirsOrOnly {
        theirs: String,
        to: String,
    },
    /// Everything that had left for this address by then.
    UpTo {
        to: String,
        until: DateTime<Utc>,
    },
    /// What it takes for a name of ours, and is none: of another installation, or made up.
    Strange(String),
}

impl StatusKey {
    /// The provider's own reference, where it names one.
    pub fn theirs(&self) -> Option<&str> {
        match self {
            StatusKey::Theirs(theirs)
            | StatusKey::Named { theirs, .. }
            | StatusKey::TheirsTo { theirs, .. }
            | StatusKey::TheirsOrOnly { theirs, .. } => Some(theirs),
            StatusKey::Ours(_) | StatusKey::Strange(_) | StatusKey::UpTo { .. } => None,
        }
    }

    /// To whom it went, where that is part of the name.
    pub fn to(&self) -> Option<&str> {
        match self {
            StatusKey::TheirsTo { to, .. } | StatusKey::TheirsOrOnly { to, .. } | StatusKey::UpTo { to, .. } => {
                Some(to)
            }
            StatusKey::Ours(_) | StatusKey::Theirs(_) | StatusKey::Named { .. } | StatusKey::Strange(_) => None,
        }
    }
}

impl SendKey {
    /// Reads what was displayed; `None` for an id that is not ours.
    pub fn parse(text: &str) -> Option<SendKey> {
        let (is_message, numbers) = match text.strip_prefix('m') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let numbers: Vec<&str> = numbers.split('-').collect();
        match (is_message, numbers.as_slice()) {
            (false, [run, seq, attempt]) => Some(SendKey::Delivery(DeliveryKey {
                run: RunId(run.parse().ok()?),
                seq: seq.parse().ok()?,
                attempt: attempt.parse().ok()?,
            })),
            (true, [id, attempt]) => {
                Some(SendKey::Message(MessageKey { id: MessageId(id.parse().ok()?), attempt: attempt.parse().ok()? }))
            }
            _ => None,
        }
    }

    /// 1 for the first try.
    pub fn attempt(self) -> i16 {
        match self {
            SendKey::Delivery(key) => key.attempt,
            SendKey::Message(key) => key.attempt,
        }
    }

    /// The same where it is a try at a contact of a run.
    pub fn delivery(text: &str) -> Option<DeliveryKey> {
        match SendKey::parse(text)? {
            SendKey::Delivery(key) => Some(key),
            SendKey::Message(_) => None,
        }
    }

    /// The same where it is a try at a message of a conversation.
    pub fn message(text: &str) -> Option<MessageKey> {
        match SendKey::parse(text)? {
            SendKey::Message(key) => Some(key),
            SendKey::Delivery(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_were_and_others_are_none() {
        let delivery = DeliveryKey { run: RunId(12), seq: 7, attempt: 2 };
        let message = MessageKey { id: MessageId(12), attempt: 3 };
        assert_eq!(SendKey::parse(&delivery.to_string()), Some(SendKey::Delivery(delivery)));
        assert_eq!(SendKey::parse(&message.to_string()), Some(SendKey::Message(message)));
        assert_eq!((delivery.to_string(), message.to_string()), ("12-7-2".to_owned(), "m12-3".to_owned()));
        for strange in ["", "12", "12-7", "12-7-2-9", "a-b-c", "m12", "m12-3-1", "m-", "mm1-1", "12-7-99999"] {
            assert_eq!(SendKey::parse(strange), None, "{strange}");
        }
    }
}
