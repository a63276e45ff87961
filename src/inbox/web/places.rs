//! Where in the inbox somebody is, and how many wait for them there.

use actix_web::web::Query;
use diesel::PgConnection;
use serde::Deserialize;

use crate::access::Person;
use crate::app::App;
use crate::ids::{CampaignId, ChannelId, UserId};
use crate::inbox::store::{self, COUNTED, InboxAsk, InboxPlace, View as Shown};
use crate::people;
use crate::people::domain::InboxAlerts;
use crate::web::chart::thousands;
use crate::web::{Problem, Waits};

/// What is looked for, as it stands in the address of the page.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Looking {
    view: String,
    channel: String,
    campaign: String,
    label: String,
    q: String,
    after: String,
    /// The news that the page knows; asks only for newer.
    pub(super) seen: String,
}

impl Looking {
    /// From the query of a list's address.
    pub(super) fn parse(query: &str) -> Looking {
        Query::from_query(query).map(Query::into_inner).unwrap_or_default()
    }

    /// The query of the list's address, from its top.
    pub(super) fn query(&self) -> String {
        let href = self.href(Shown::of_word(&self.view).unwrap_or_default(), None, "");
        href.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default()
    }

    pub(super) fn ask(&self, person: UserId) -> InboxAsk {
        let label = self.label.trim().replace('\0', "");
        InboxAsk {
            view: Shown::of_word(&self.view).unwrap_or_default(),
            channel: self.channel.parse().ok().map(ChannelId),
            campaign: self.campaign.parse().ok().map(CampaignId),
            label: Some(label).filter(|label| !label.is_empty()),
            q: self.q.trim().replace('\0', ""),
            place: InboxPlace::parse(&self.after),
            person,
        }
    }

    /// The same search elsewhere.
    pub(super) fn href(&self, view: Shown, after: Option<&InboxPlace>, seen: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let after = after.map(InboxPlace::to_string).unwrap_or_default();
        let view = if view == Shown::default() { "" } else { view.word() };
        let (channel, campaign, label) = (self.channel.as_str(), self.campaign.as_str(), self.label.trim());
        for (name, value) in [
            ("view", view),
            ("channel", channel),
            ("campaign", campaign),
            ("label", label),
            ("q", self.q.trim()),
            ("after", &after),
            ("seen", seen),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/inbox".to_owned() } else { format!("/inbox?{query}") }
    }
}

/// How many wait for somebody, as the rail and the titles of the inbox say it.
pub(super) fn told(n: i64, alerts: InboxAlerts) -> Waits {
    let words = match n {
        0 => None,
        n if COUNTED <= n => Some(format!("{}+", thousands(COUNTED))),
        n => Some(thousands(n)),
    };
    Waits { n, words, alerts: alerts.word() }
}

/// The same, looked up.
pub(super) async fn waits(app: &App, person: &Person) -> Result<Waits, Problem> {
    let by = person.id;
    let look = move |conn: &mut PgConnection| {
        let n = store::count_of(conn, Shown::ForYou, by)?;
        Ok::<_, diesel::result::Error>(told(n, people::store::alerts(conn, by)?))
    };
    Ok(app.db.run(look).await?)
}

/// The page of a conversation; `list` is the query of the list that it was opened from.
pub(super) fn thread_href(id: i64, list: &str) -> String {
    if list.is_empty() {
        return format!("/inbox/{id}");
    }
    format!("/inbox/{id}?{}", form_urlencoded::Serializer::new(String::new()).append_pair("list", list).finish())
}
