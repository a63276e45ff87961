use chrono::{DateTime, Utc};

use crate::bots::domain::Pinned;
use crate::bots::turn::Memory;
use crate::ids::{CampaignId, ChannelId, ContactId, ConversationId, ScheduleId, UserId};

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

/// Who wrote first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    Outbound,
    Inbound,
}

impl Began {
    pub fn word(self) -> &'static str {
        match self {
            Began::Outbound => "outbound",
            Began::Inbound => "inbound",
        }
    }

    pub fn of_word(word: &str) -> Option<Began> {
        [Began::Outbound, Began::Inbound].into_iter().find(|it| it.word() == word)
    }
}

/// Who answers. A human who has taken over never gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    Bot,
    Human,
}

impl Handler {
    pub fn word(self) -> &'static str {
        match self {
            Handler::Bot => "bot",
            Handler::Human => "human",
        }
    }

    pub fn of_word(word: &str) -> Option<Handler> {
        [Handler::Bot, Handler::Human].into_iter().find(|it| it.word() == word)
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
pub enum Route {
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
pub fn route(previous: Option<Previous>, inbound: bool) -> Route {
    match (previous, inbound) {
        (Some(Previous { open: true, valid: true, .. }), _) => Route::GoesOn,
        (Some(Previous { open: true, valid: false, began: Began::Outbound }), _) => Route::Original,
        (None, true) | (Some(Previous { open: false, .. } | Previous { began: Began::Inbound, .. }), true) => {
            Route::Inbound
        }
        (Some(Previous { open: false, .. }), false) => Route::Reopens,
        (None, false) | (Some(Previous { began: Began::Inbound, .. }), false) => Route::Unassigned,
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
            (None, true, Route::Inbound),
            (None, false, Route::Unassigned),
            (it(false, true, Inbound), true, Route::Inbound),
            (it(false, true, Outbound), true, Route::Inbound),
            (it(false, false, Inbound), true, Route::Inbound),
            (it(false, false, Outbound), true, Route::Inbound),
            (it(false, true, Inbound), false, Route::Reopens),
            (it(false, true, Outbound), false, Route::Reopens),
            (it(false, false, Inbound), false, Route::Reopens),
            (it(false, false, Outbound), false, Route::Reopens),
            (it(true, true, Inbound), true, Route::GoesOn),
            (it(true, true, Inbound), false, Route::GoesOn),
            (it(true, true, Outbound), true, Route::GoesOn),
            (it(true, true, Outbound), false, Route::GoesOn),
            (it(true, false, Inbound), true, Route::Inbound),
            (it(true, false, Inbound), false, Route::Unassigned),
            (it(true, false, Outbound), true, Route::Original),
            (it(true, false, Outbound), false, Route::Original),
        ];
        for (previous, inbound, expected) in table {
            assert_eq!(route(previous, inbound), expected, "{previous:?}, inbound schedule: {inbound}");
        }
    }
}
