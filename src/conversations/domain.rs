use chrono::{DateTime, Utc};

use crate::bots::domain::Pinned;
use crate::bots::turn::Memory;
use crate::ids::{CampaignId, ChannelId, ContactId, ConversationId, ScheduleId, UserId};
use crate::words::words;

/// All messages with one contact on one channel, under one number.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    pub id: ConversationId,
    pub channel: ChannelId,
    pub contact: ContactId,
    /// What it belongs to; `None`: no campaign met it.
    pub home: Option<(CampaignId, ScheduleId)>,
    pub began: Began,
    pub bot: Option<Pinned>,
    pub handler: Handler,
    /// The bot's.
    pub memory: Option<Memory>,
    /// When the bot speaks up by itself if nobody wrote until then.
    pub wake_at: Option<DateTime<Utc>>,
    /// Of the last message in either direction.
    pub last_at: DateTime<Utc>,
    /// Since when a human is waited for.
    pub unanswered_since: Option<DateTime<Utc>>,
    pub closed: Option<(DateTime<Utc>, String)>,
    /// Why its bot cannot go on.
    pub fault: Option<String>,
    /// The contact seems to have opted out in words of their own.
    pub doubted: bool,
    pub assigned_to: Option<UserId>,
    pub labels: Vec<String>,
}

words! {
    /// Who wrote first.
    pub enum Began {
        Outbound = "outbound",
        Inbound = "inbound",
    }
}

words! {
    /// Who answers. A human who has taken over never gives it back.
    pub enum Handler {
        Bot = "bot",
        Human = "human",
    }
}

/// The newest conversation with a contact on a channel, as routing sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    pub open: bool,
    pub valid: bool,
    pub began: Began,
}

/// Where a message of a contact belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutedTo {
    /// To that conversation; its bot goes on.
    GoesOn,
    /// To a new one on the current inbound schedule.
    Inbound,
    /// To a new one on the outbound schedule of that conversation.
    Original,
    /// To that conversation, which opens again for the inbox.
    Reopens,
    /// To a new one that nothing met: for the inbox.
    Unassigned,
}

/// Routes a message. `inbound`: whether an inbound schedule is current on the channel.
pub fn route(previous: Option<Previous>, inbound: bool) -> RoutedTo {
    match (previous, inbound) {
        (Some(Previous { open: true, valid: true, .. }), _) => RoutedTo::GoesOn,
        (Some(Previous { open: true, valid: false, began: Began::Outbound }), _) => RoutedTo::Original,
        (None, true) | (Some(Previous { open: false, .. } | Previous { began: Began::Inbound, .. }), true) => {
            RoutedTo::Inbound
        }
        (Some(Previous { open: false, .. }), false) => RoutedTo::Reopens,
        (None, false) | (Some(Previous { began: Began::Inbound, .. }), false) => RoutedTo::Unassigned,
    }
}

/// What the badge of a conversation that was closed says, and why where that is more.
pub fn closed_words(because: &str) -> (String, &str) {
    match because.strip_prefix("closed ") {
        Some(by) => (format!("Closed {by}"), ""),
        None => ("Closed".to_owned(), because),
    }
}

impl Conversation {
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Ends it. Nobody is waited for any more, and the bot speaks no more by itself.
    pub fn close(&mut self, because: &str, now: DateTime<Utc>) {
        if self.closed.is_none() {
            self.closed = Some((now, because.to_owned()));
        }
        (self.wake_at, self.unanswered_since) = (None, None);
    }

    /// Gives it to humans, for good.
    pub fn hand_over(&mut self) {
        self.handler = Handler::Human;
        self.wake_at = None;
    }

    /// From now on a human is waited for, if not before.
    pub fn wait_for_human(&mut self, now: DateTime<Utc>) {
        self.hand_over();
        if self.is_open() {
            self.unanswered_since = self.unanswered_since.or(Some(now));
        }
    }

    /// For humans, because its bot has fallen silent.
    pub fn fall_silent(&mut self, why: &str, now: DateTime<Utc>) {
        self.fault = Some(format!("It fell silent after {why}"));
        self.wait_for_human(now);
    }

    /// Goes on with the bot that had fallen silent; where the bot had not begun, with its first step.
    pub fn go_on(&mut self) {
        (self.fault, self.unanswered_since) = (None, None);
    }

    /// A human has answered.
    pub fn answered(&mut self) {
        self.unanswered_since = None;
    }

    /// Opens again, for humans.
    pub fn reopen(&mut self) {
        self.closed = None;
        self.hand_over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of routing, line by line.
    #[test]
    fn a_message_goes_where_the_table_says() {
        use Began::{Inbound, Outbound};
        let it = |open, valid, began| Some(Previous { open, valid, began });
        let table = [
            (None, true, RoutedTo::Inbound),
            (None, false, RoutedTo::Unassigned),
            (it(false, true, Inbound), true, RoutedTo::Inbound),
            (it(false, true, Outbound), true, RoutedTo::Inbound),
            (it(false, false, Inbound), true, RoutedTo::Inbound),
            (it(false, false, Outbound), true, RoutedTo::Inbound),
            (it(false, true, Inbound), false, RoutedTo::Reopens),
            (it(false, true, Outbound), false, RoutedTo::Reopens),
            (it(false, false, Inbound), false, RoutedTo::Reopens),
            (it(false, false, Outbound), false, RoutedTo::Reopens),
            (it(true, true, Inbound), true, RoutedTo::GoesOn),
            (it(true, true, Inbound), false, RoutedTo::GoesOn),
            (it(true, true, Outbound), true, RoutedTo::GoesOn),
            (it(true, true, Outbound), false, RoutedTo::GoesOn),
            (it(true, false, Inbound), true, RoutedTo::Inbound),
            (it(true, false, Inbound), false, RoutedTo::Unassigned),
            (it(true, false, Outbound), true, RoutedTo::Original),
            (it(true, false, Outbound), false, RoutedTo::Original),
        ];
        for (previous, inbound, expected) in table {
            assert_eq!(route(previous, inbound), expected, "{previous:?}, inbound schedule: {inbound}");
        }
    }
}
