use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Form, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::stream;
use serde::Deserialize;

use super::actions;
use super::domain::{
    ConsentRules, LONGEST_ANSWER, LONGEST_NAME, LONGEST_WORD, Language, MOST_WORDS, Meaning, Refused, typed_words,
};
use super::store::{self, Changed, WantedChanges};
use crate::access::{Administer, Export, Role, View};
use crate::app::App;
use crate::channels;
use crate::channels::domain::Channel;
use crate::contacts::addresses::{as_stored, in_full};
use crate::contacts::quiet;
use crate::contacts::store::Whom;
use crate::db::{DbError, Error};
use crate::web::{FieldErrors, Frame, May, Problem, csv, page, page_with, see_other, table_in_turn};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(show)
        .service(export)
        .service(edit_language)
        .service(save_language)
        .service(remove_language)
        .service(set_channels)
        .service(reset);
}

const PATH: &str = "/settings/consent";

/// Changes that the page shows, and that are read at once while exporting.
const SHOWN: i64 = 100;
const EXPORTED_AT_ONCE: i64 = 5000;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// The beginning of an address whose changes are wanted.
    q: String,
    /// A message to try, on which channel, and whether its contact is out.
    text: String,
    channel: String,
    out: String,
    saved: String,
}

#[derive(Template)]
#[template(path = "consent/show.html")]
struct Show {
    frame: Frame,
    rules: ConsentRules,
    /// As nobody has changed anything.
    usual: bool,
    channels: Vec<Channel>,
    changes: Vec<Changed>,
    last_change: Option<(DateTime<Utc>, Option<String>)>,
    asked: Asked,
    tried: Option<Tried>,
    zone: Tz,
}

/// What a message would mean.
struct Tried {
    says: String,
    answer: Option<String>,
}

impl Show {
    fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %b %Y, %H:%M:%S").to_string()
    }

    fn words(&self, language: &Language, meaning: &Meaning) -> String {
        language.words(*meaning).join(", ")
    }

    fn answer<'a>(&self, language: &'a Language, meaning: &Meaning) -> &'a str {
        language.answer(*meaning).trim()
    }

    fn is_natural(&self, sender: &Channel) -> bool {
        self.rules.natural_on.contains(&sender.id.0)
    }

    fn is_silent(&self, sender: &Channel) -> bool {
        self.rules.silent_on.contains(&sender.id.0)
    }

    fn edit_href(&self, language: &Language) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("was", &language.name).finish();
        format!("{PATH}/language?{query}")
    }

    fn export_href(&self) -> String {
        match self.asked.q.trim() {
            "" => format!("{PATH}/changes.csv"),
            q => {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", q).finish();
                format!("{PATH}/changes.csv?{query}")
            }
        }
    }

    /// Languages in which somebody who opts out is told nothing.
    fn mute(&self) -> Vec<&str> {
        let mute = self.rules.languages.iter().filter(|language| language.stopped.trim().is_empty());
        mute.map(|language| language.name.as_str()).collect()
    }
}

fn try_out(rules: &ConsentRules, asked: &Asked) -> Option<Tried> {
    let text = asked.text.trim();
    if text.is_empty() {
        return None;
    }
    let (channel, out) = (asked.channel.parse().unwrap_or(0), !asked.out.is_empty());
    let Some((meaning, language)) = rules.meaning(text, channel, out) else {
        let says = if rules.suspects_stop(text, channel) && !out {
            "Sounds like an opt-out. No campaign writes to them until somebody has decided in the inbox."
        } else if out {
            "No word of consent. They stay out, and no bot hears it."
        } else {
            "No word of consent. It goes to the bot, or to the inbox."
        };
        return Some(Tried { says: says.to_owned(), answer: None });
    };
    let name = &language.name;
    let says = match meaning {
        Meaning::Stop if out => format!("Means stop ({name}). They are out already and get no second answer."),
        Meaning::Stop => format!("Means stop ({name}). From then on nothing leaves to them."),
        Meaning::Start if out => format!("Means start ({name}). They get messages again."),
        Meaning::Start => format!("Means start ({name})."),
        Meaning::Help => format!("Means help ({name})."),
    };
    let silent = meaning == Meaning::Stop && (out || rules.silent_on.contains(&channel));
    let answer = Some(language.answer(meaning)).filter(|answer| !silent && !answer.trim().is_empty());
    Some(Tried { says, answer: answer.map(str::to_owned) })
}

#[get("/settings/consent")]
async fn show(_may: May<View>, frame: Frame, app: Data<App>, asked: Query<Asked>) -> Result<HttpResponse, Problem> {
    let asked = asked.into_inner();
    let wanted = WantedChanges { begins: as_stored(asked.q.trim()), ..WantedChanges::default() };
    let (rules, last_change, channels, mut changes) = app
        .db
        .run(move |conn| {
            let (rules, last_change) = (store::rules(conn)?, store::last_change(conn)?);
            let changes = store::changes(conn, &wanted, SHOWN)?;
            Ok::<_, diesel::result::Error>((rules, last_change, channels::store::list(conn)?, changes))
        })
        .await?;
    changes.retain(|it| !frame.person.may_not_find(&asked.q, &it.address, None));
    quiet::wait(&app, Whom::Contacts(changes.iter().map(|it| it.contact_id).collect())).await;
    let tried = try_out(&rules, &asked);
    let (usual, zone) = (rules == ConsentRules::default(), app.settings.time_zone);
    page(Show { frame, rules, usual, channels, changes, last_change, asked, tried, zone })
}

#[get("/settings/consent/changes.csv", wrap = "from_fn(table_in_turn)")]
async fn export(_may: May<Export>, app: Data<App>, asked: Query<Asked>) -> Result<HttpResponse, Problem> {
    let (begins, zone) = (as_stored(asked.q.trim()), app.settings.time_zone);
    let mut first = csv::mark();
    let heads = ["address", "kind", "time", "change", "how", "words", "channel", "message", "answered", "by"];
    first.extend(csv::lines([heads])?);
    let pages = stream::try_unfold((Some(None), first), move |(before, mut lines)| {
        let (app, begins) = (app.clone(), begins.clone());
        async move {
            let Some(before) = before else { return Ok::<_, Problem>(None) };
            let wanted = WantedChanges { begins, before, ..WantedChanges::default() };
            let changes = app.db.run(move |conn| store::changes(conn, &wanted, EXPORTED_AT_ONCE)).await?;
            quiet::wait(&app, Whom::Barred).await;
            for it in &changes {
                let (address, at) = (in_full(it.kind, &it.address), it.at.with_timezone(&zone).to_rfc3339());
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let (words, channel, message) = (text(&it.words), text(&it.channel), text(&it.message));
                let (answered, by) = (text(&it.answered), text(&it.by));
                let cells: [&str; 10] =
                    [&address, it.kind.word(), &at, &it.change, &it.how, &words, &channel, &message, &answered, &by];
                lines.extend(csv::lines([cells])?);
            }
            let next = changes.last().filter(|_| changes.len() as i64 == EXPORTED_AT_ONCE).map(|last| Some(last.id));
            Ok(Some((Bytes::from(lines), (next, Vec::new()))))
        }
    });
    Ok(csv::download("consent.csv", pages))
}

// One language

/// A language as typed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct LanguageForm {
    /// What it is called so far; empty: it is new.
    was: String,
    name: String,
    stop: String,
    start: String,
    help: String,
    stopped: String,
    started: String,
    helped: String,
}

impl LanguageForm {
    fn of(language: &Language) -> Self {
        let words = |meaning| language.words(meaning).join(", ");
        LanguageForm {
            was: language.name.clone(),
            name: language.name.clone(),
            stop: words(Meaning::Stop),
            start: words(Meaning::Start),
            help: words(Meaning::Help),
            stopped: language.stopped.clone(),
            started: language.started.clone(),
            helped: language.helped.clone(),
        }
    }

    fn was(&self) -> Option<String> {
        Some(self.was.clone()).filter(|was| !was.is_empty())
    }

    fn parse(&self) -> Result<Language, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.name.trim().to_owned();
        if name.is_empty() {
            errors.add("name", "Say what language it is.");
        } else if name.chars().count() > LONGEST_NAME {
            errors.add("name", format!("At most {LONGEST_NAME} characters."));
        }
        let mut words = |field: &'static str, text: &str| {
            let words = typed_words(text);
            if let Some(long) = words.iter().find(|word| word.chars().count() > LONGEST_WORD) {
                let begins: String = long.chars().take(LONGEST_WORD).collect();
                errors.add(field, format!("“{begins}…”: a word has at most {LONGEST_WORD} characters."));
            } else if words.len() > MOST_WORDS {
                errors.add(field, format!("At most {MOST_WORDS} words."));
            }
            words
        };
        let (stop, start, help) = (words("stop", &self.stop), words("start", &self.start), words("help", &self.help));
        let mut answer = |field: &'static str, text: &str| {
            let text = text.replace("\r\n", "\n").trim().to_owned();
            if text.chars().count() > LONGEST_ANSWER {
                errors.add(field, format!("At most {LONGEST_ANSWER} characters."));
            }
            text
        };
        let stopped = answer("stopped", &self.stopped);
        let started = answer("started", &self.started);
        let helped = answer("helped", &self.helped);
        let fields = [
            ("name", &self.name),
            ("stop", &self.stop),
            ("start", &self.start),
            ("help", &self.help),
            ("stopped", &self.stopped),
            ("started", &self.started),
            ("helped", &self.helped),
        ];
        for (field, _) in fields.iter().filter(|(_, text)| text.contains('\0')) {
            errors.add(*field, "There is a character in it that no message holds.");
        }
        match errors.is_empty() {
            true => Ok(Language { name, stop, start, help, stopped, started, helped }),
            false => Err(errors),
        }
    }
}

/// Where in the form of a language a refusal belongs.
fn at_fields(refused: &[Refused]) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for it in refused {
        let field = match it {
            Refused::TwoMeanings { meaning, .. } | Refused::Sure { meaning, .. } => meaning.word(),
            Refused::NameTaken(_) | Refused::LastLanguage(_) | Refused::TooMany | Refused::Gone(_) => "name",
        };
        errors.add(field, it.to_string());
    }
    errors
}

#[derive(Template)]
#[template(path = "consent/language.html")]
struct Edit<'a> {
    frame: Frame,
    form: &'a LanguageForm,
    errors: &'a FieldErrors,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Which {
    was: String,
}

#[get("/settings/consent/language")]
async fn edit_language(
    _may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    which: Query<Which>,
) -> Result<HttpResponse, Problem> {
    let rules = app.db.run(store::rules).await?;
    let form = match which.was.as_str() {
        "" => LanguageForm::default(),
        was => {
            let language = rules.languages.iter().find(|language| language.name == was);
            LanguageForm::of(language.ok_or(Problem::NotFound)?)
        }
    };
    page(Edit { frame, form: &form, errors: &FieldErrors::default() })
}

#[post("/settings/consent/language")]
async fn save_language(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    form: Form<LanguageForm>,
) -> Result<HttpResponse, Problem> {
    let (form, by, now) = (form.into_inner(), may.person.id, app.clock.now());
    let errors = match form.parse() {
        Err(errors) => errors,
        Ok(language) => {
            let was = form.was();
            let saved = app.db.run(move |conn| actions::save_language(conn, was.as_deref(), &language, by, now)).await;
            match saved {
                Ok(()) => return Ok(see_other(format!("{PATH}?saved=languages#languages"))),
                Err(DbError::Work(Error::Refused(refused))) => at_fields(&refused.0),
                Err(error) => return Err(error.into()),
            }
        }
    };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Edit { frame, form: &form, errors: &errors })
}

#[post("/settings/consent/language/remove")]
async fn remove_language(may: May<Administer>, app: Data<App>, which: Form<Which>) -> Result<HttpResponse, Problem> {
    let (was, by, now) = (which.into_inner().was, may.person.id, app.clock.now());
    app.db.run(move |conn| actions::remove_language(conn, &was, by, now)).await?;
    Ok(see_other(format!("{PATH}?saved=languages#languages")))
}

// All of them

/// Lines of `natural` and `silent`, each with the number of a channel.
#[post("/settings/consent/channels")]
async fn set_channels(
    may: May<Administer>,
    app: Data<App>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let ticked = |what: &str| -> BTreeSet<i64> {
        form.iter().filter(|(name, _)| name == what).filter_map(|(_, id)| id.parse().ok()).collect()
    };
    let (natural, silent) = (ticked("natural"), ticked("silent"));
    app.db.run(move |conn| actions::set_channels(conn, &natural, &silent, by, now)).await?;
    Ok(see_other(format!("{PATH}?saved=channels#channels")))
}

#[post("/settings/consent/reset")]
async fn reset(may: May<Administer>, app: Data<App>) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::reset(conn, by, now)).await?;
    Ok(see_other(format!("{PATH}?saved=languages#languages")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_come_back_from_their_form_as_they_were() {
        for language in ConsentRules::default().languages {
            let parsed = LanguageForm::of(&language).parse().unwrap();
            assert_eq!(parsed, language);
        }
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        let form = || LanguageForm { name: "Dutch".into(), ..LanguageForm::default() };
        assert!(form().parse().is_ok(), "words and answers may be missing");
        let long = |n: usize| "a".repeat(n);
        let many = (0..61).map(|n| format!("w{n}")).collect::<Vec<_>>().join(",");
        for (form, wrong) in [
            (LanguageForm { name: " ".into(), ..form() }, "name"),
            (LanguageForm { name: long(41), ..form() }, "name"),
            (LanguageForm { stop: long(41), ..form() }, "stop"),
            (LanguageForm { start: many, ..form() }, "start"),
            (LanguageForm { helped: long(481), ..form() }, "helped"),
            (LanguageForm { started: "a\0".into(), ..form() }, "started"),
        ] {
            let errors = form.parse().unwrap_err();
            assert!(errors.of(wrong).is_some(), "{wrong}: {errors:?}");
        }
    }

    #[test]
    fn a_message_is_tried_as_it_would_be_heard() {
        let rules = ConsentRules { silent_on: [2].into(), natural_on: [3].into(), ..ConsentRules::default() };
        let says = |text: &str, channel: &str, out: &str| {
            let asked = Asked { text: text.into(), channel: channel.into(), out: out.into(), ..Asked::default() };
            try_out(&rules, &asked).map(|tried| (tried.says, tried.answer.is_some()))
        };
        let begins = |text: &str, channel: &str, out: &str, with: &str, answered: bool| {
            let (says, answers) = says(text, channel, out).unwrap();
            assert!(says.starts_with(with) && answers == answered, "{text}: {says}");
        };
        begins("Stop", "1", "", "Means stop (English). From", true);
        begins("Stop", "2", "", "Means stop (English). From", false);
        begins("Stop", "1", "on", "Means stop (English). They are out", false);
        begins("cancel", "3", "", "No word of consent. It goes", false);
        begins("leave me alone", "1", "", "Sounds like an opt-out", false);
        begins("yes", "1", "on", "Means start (English)", true);
        assert!(says(" ", "1", "").is_none());
    }
}
