//! Which bot, and which of its versions: the same two fields wherever a campaign gets one.

use actix_web::web::{Data, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use serde::Deserialize;

use crate::access::Manage;
use crate::app::App;
use crate::bots;
use crate::bots::domain::{Pinned, Sendable};
use crate::ids::BotId;
use crate::web::{FieldErrors, May, Problem, page};

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(versions);
}

/// The two fields as typed. `version` names its bot as well ("12:3"), so that one chosen for
/// another bot is known for what it is where no script has changed the choice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BotForm {
    pub bot: String,
    pub version: String,
}

impl BotForm {
    pub fn of(pinned: Option<Pinned>) -> Self {
        pinned.map_or_else(BotForm::default, |it| BotForm { bot: it.bot.to_string(), version: word(it) })
    }

    fn bot<'a>(&self, bots: &'a [Sendable]) -> Option<&'a Sendable> {
        let id = self.bot.trim().parse().map(BotId).ok()?;
        bots.iter().find(|bot| bot.id == id)
    }

    /// The version that was chosen; of a bot of which none was, the newest.
    fn chosen(&self, bots: &[Sendable]) -> Option<Pinned> {
        let bot = self.bot(bots)?;
        let typed = self.version.split_once(':').filter(|(of, _)| *of == self.bot.trim());
        let version = typed.and_then(|(_, n)| n.parse().ok()).filter(|n| bot.versions.contains(n));
        Some(Pinned { bot: bot.id, version: version.unwrap_or(bot.newest()) })
    }

    pub fn parse(&self, bots: &[Sendable], errors: &mut FieldErrors) -> Option<Pinned> {
        let pinned = self.chosen(bots);
        if bots.is_empty() {
            errors.add("bot", "No bot is published yet. Publish one first.");
        } else if pinned.is_none() {
            errors.add("bot", "Choose a bot.");
        } else if self.bot(bots).is_some_and(|bot| bot.archived) {
            errors.add("bot", "This bot is archived. Restore it, or choose another.");
        }
        pinned
    }

    /// Bots to choose from.
    pub fn options(&self, bots: &[Sendable]) -> Vec<(String, String)> {
        let words = |bot: &Sendable| match bot.archived {
            true => format!("{} (archived)", bot.name),
            false => bot.name.clone(),
        };
        let none = (String::new(), "Choose a bot".to_owned());
        std::iter::once(none).chain(bots.iter().map(|bot| (bot.id.to_string(), words(bot)))).collect()
    }

    pub fn versions(&self, bots: &[Sendable]) -> Versions {
        let (bot, chosen) = (self.bot(bots), self.chosen(bots));
        Versions {
            options: bot.map_or_else(Vec::new, |bot| {
                let words = |n: i32| if n == bot.newest() { format!("{n}, the newest") } else { n.to_string() };
                bot.versions.iter().map(|n| (word(Pinned { bot: bot.id, version: *n }), words(*n))).collect()
            }),
            chosen: chosen.map(word).unwrap_or_default(),
            newer: bot.zip(chosen).filter(|(bot, it)| it.version < bot.newest()).map(|(bot, _)| bot.newest()),
        }
    }
}

fn word(it: Pinned) -> String {
    format!("{}:{}", it.bot, it.version)
}

/// The field of the version; it follows the choice of the bot.
#[derive(Template)]
#[template(path = "campaigns/_versions.html")]
pub struct Versions {
    options: Vec<(String, String)>,
    chosen: String,
    /// Published since.
    newer: Option<i32>,
}

#[get("/campaigns/versions")]
async fn versions(_may: May<Manage>, app: Data<App>, form: Query<BotForm>) -> Result<HttpResponse, Problem> {
    let form = form.into_inner();
    let also: Vec<BotId> = form.bot.parse().map(BotId).into_iter().collect();
    let bots = app.db.run(move |conn| bots::store::sendable(conn, &also)).await?;
    page(form.versions(&bots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_counts_only_for_its_own_bot() {
        let bot = |id, numbers: &[i32]| Sendable {
            id: BotId(id),
            name: format!("Bot {id}"),
            archived: false,
            versions: numbers.to_vec(),
        };
        let bots = [bot(1, &[3, 2, 1]), bot(2, &[2, 1])];
        let chosen = |bot: &str, version: &str| {
            let form = BotForm { bot: bot.into(), version: version.into() };
            form.parse(&bots, &mut FieldErrors::default()).map(|it| (it.bot.0, it.version))
        };
        assert_eq!(chosen("1", "1:2"), Some((1, 2)));
        assert_eq!(chosen("2", "1:3"), Some((2, 2)), "of another bot: the newest of this one");
        assert_eq!(chosen("1", "1:9"), Some((1, 3)));
        assert_eq!((chosen("1", ""), chosen("", "1:2"), chosen("9", "")), (Some((1, 3)), None, None));
        let form = BotForm { bot: "1".into(), version: "1:2".into() };
        assert_eq!(form.versions(&bots).newer, Some(3));
    }
}
