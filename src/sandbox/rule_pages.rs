//! web: How the phones answer by themselves: the rules, and what a phone would answer.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use super::carrier::rules_changed;
use super::domain::{Habit, LONGEST_DELAY, LONGEST_PATTERN, LONGEST_REPLIES, PhoneRule, PhoneRules};
use super::{actions, store};
use crate::access::{Operate, Role, View};
use crate::app::App;
use crate::web::{FieldErrors, Frame, May, Problem, page, page_with, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(index)
        .service(new_page)
        .service(add)
        .service(add_usual)
        .service(switch_all)
        .service(show)
        .service(change)
        .service(press);
}

const PATH: &str = "/phones/rules";

/// A text to try the rules with.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Trial {
    text: String,
    /// Answers that it offers, with commas between them.
    choices: String,
}

#[derive(Template)]
#[template(path = "sandbox/rules.html")]
struct Index {
    frame: Frame,
    rules: Vec<PhoneRule>,
    trial: Trial,
    /// What phones would answer, and how many of a hundred.
    poll: Vec<(Option<String>, String)>,
}

impl Index {
    fn any(&self, on: bool) -> bool {
        self.rules.iter().any(|rule| rule.enabled == on)
    }
}

/// Phones that a text is tried on.
const ASKED: usize = 1000;

#[get("/phones/rules")]
async fn index(_may: May<View>, frame: Frame, app: Data<App>, trial: Query<Trial>) -> Result<HttpResponse, Problem> {
    let (rules, trial) = (app.db.run(store::rules).await?, trial.into_inner());
    let text: String = trial.text.chars().take(2000).collect();
    let choices: Vec<String> =
        trial.choices.split(',').map(str::trim).filter(|it| !it.is_empty()).take(20).map(str::to_owned).collect();
    let poll = match text.trim().is_empty() {
        true => Vec::new(),
        false => PhoneRules::new(rules.clone()).poll(&text, &choices, ASKED),
    };
    let share = |n: usize| match n * 100 / ASKED {
        0 => "less than 1".to_owned(),
        percent => percent.to_string(),
    };
    let poll = poll.into_iter().map(|(text, n)| (text, share(n))).collect();
    page(Index { frame, rules, trial, poll })
}

/// A rule as typed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct RuleForm {
    pattern: String,
    replies: String,
    chance: String,
    after_s: String,
    to_s: String,
}

impl RuleForm {
    fn of(habit: &Habit) -> Self {
        RuleForm {
            pattern: habit.pattern.clone(),
            replies: habit.replies.clone(),
            chance: percent(habit.chance),
            after_s: habit.after_s.to_string(),
            to_s: habit.to_s.to_string(),
        }
    }

    fn parse(&self) -> Result<Habit, FieldErrors> {
        let mut errors = FieldErrors::default();
        let chance = match self.chance.trim().trim_end_matches('%').trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => percent / 100.0,
            _ => {
                errors.add("chance", "A number from 0 to 100.");
                0.0
            }
        };
        let mut seconds = |field: &'static str, text: &str| match text.trim() {
            "" => 0,
            text => text.parse().ok().filter(|n| (0..=LONGEST_DELAY).contains(n)).unwrap_or_else(|| {
                errors.add(field, format!("A whole number from 0 to {LONGEST_DELAY}."));
                0
            }),
        };
        let (after_s, to_s) = (seconds("after_s", &self.after_s), seconds("to_s", &self.to_s));
        if to_s < after_s {
            errors.add("to_s", "Not before the earliest.");
        }
        let replies = self.replies.replace("\r\n", "\n").trim().to_owned();
        if replies.chars().count() > LONGEST_REPLIES {
            errors.add("replies", format!("At most {LONGEST_REPLIES} characters."));
        } else if replies.contains('\0') {
            errors.add("replies", "There is a character in it that no phone can write.");
        }
        let habit = Habit { pattern: self.pattern.trim().to_owned(), replies, chance, after_s, to_s };
        if habit.pattern.chars().count() > LONGEST_PATTERN {
            errors.add("pattern", format!("At most {LONGEST_PATTERN} characters."));
        } else if habit.pattern.contains('\0') {
            errors.add("pattern", "There is a character in it that no text holds.");
        } else if let Err(why) = habit.regex() {
            errors.add("pattern", why);
        }
        if errors.is_empty() { Ok(habit) } else { Err(errors) }
    }
}

fn percent(share: impl std::borrow::Borrow<f64>) -> String {
    let share: f64 = *share.borrow();
    format!("{}", (share * 1e6).round() / 1e4)
}

#[derive(Template)]
#[template(path = "sandbox/rule.html")]
struct Edit<'a> {
    frame: Frame,
    /// `None`: it does not exist yet.
    id: Option<i64>,
    form: &'a RuleForm,
    errors: &'a FieldErrors,
}

#[get("/phones/rules/new")]
async fn new_page(_may: May<Operate>, frame: Frame) -> Result<HttpResponse, Problem> {
    let typical = |text: &str| text.to_owned();
    let form = RuleForm { chance: typical("100"), after_s: typical("5"), to_s: typical("60"), ..RuleForm::default() };
    page(Edit { frame, id: None, form: &form, errors: &FieldErrors::default() })
}

#[post("/phones/rules")]
async fn add(may: May<Operate>, frame: Frame, app: Data<App>, form: Form<RuleForm>) -> Result<HttpResponse, Problem> {
    let habit = match form.parse() {
        Ok(habit) => habit,
        Err(errors) => {
            let again = Edit { frame, id: None, form: &form, errors: &errors };
            return page_with(StatusCode::UNPROCESSABLE_ENTITY, again);
        }
    };
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::add(conn, &habit, by, now)).await?;
    changed()
}

#[post("/phones/rules/usual")]
async fn add_usual(may: May<Operate>, app: Data<App>) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::add_usual(conn, by, now)).await?;
    changed()
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Button {
    On,
    Off,
    Up,
    Down,
    Remove,
}

#[derive(Deserialize)]
struct Pressed {
    press: Button,
}

#[post("/phones/rules/all")]
async fn switch_all(may: May<Operate>, app: Data<App>, form: Form<Pressed>) -> Result<HttpResponse, Problem> {
    let (on, by, now) = (matches!(form.press, Button::On), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::switch(conn, None, on, by, now)).await?;
    changed()
}

#[get("/phones/rules/{id}")]
async fn show(_may: May<Operate>, frame: Frame, app: Data<App>, id: Path<i64>) -> Result<HttpResponse, Problem> {
    let rules = app.db.run(store::rules).await?;
    let rule = rules.into_iter().find(|rule| rule.id == *id).ok_or(Problem::NotFound)?;
    page(Edit { frame, id: Some(rule.id), form: &RuleForm::of(&rule.habit), errors: &FieldErrors::default() })
}

#[post("/phones/rules/{id}")]
async fn change(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<i64>,
    form: Form<RuleForm>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let habit = match form.parse() {
        Ok(habit) => habit,
        Err(errors) => {
            let again = Edit { frame, id: Some(id), form: &form, errors: &errors };
            return page_with(StatusCode::UNPROCESSABLE_ENTITY, again);
        }
    };
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::change(conn, id, &habit, by, now)).await?;
    changed()
}

#[post("/phones/rules/{id}/press")]
async fn press(may: May<Operate>, app: Data<App>, id: Path<i64>, form: Form<Pressed>) -> Result<HttpResponse, Problem> {
    let (id, press, by, now) = (id.into_inner(), form.press, may.person.id, app.clock.now());
    app.db
        .run(move |conn| match press {
            Button::On => actions::switch(conn, Some(id), true, by, now),
            Button::Off => actions::switch(conn, Some(id), false, by, now),
            Button::Up => actions::shift(conn, id, true, by, now),
            Button::Down => actions::shift(conn, id, false, by, now),
            Button::Remove => actions::remove(conn, id, by, now),
        })
        .await?;
    changed()
}

fn changed() -> Result<HttpResponse, Problem> {
    rules_changed();
    Ok(see_other(PATH))
}

#[cfg(test)]
mod tests {
    use super::super::domain::usual;
    use super::*;

    #[test]
    fn rules_come_back_from_their_form_as_they_were() {
        for habit in usual() {
            assert_eq!(RuleForm::of(&habit).parse(), Ok(habit));
        }
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        let form = || RuleForm { chance: "50".into(), after_s: "1".into(), to_s: "2".into(), ..RuleForm::default() };
        for (form, wrong) in [
            (RuleForm { pattern: "(".into(), ..form() }, "pattern"),
            (RuleForm { pattern: "a".repeat(501), ..form() }, "pattern"),
            (RuleForm { replies: "a".repeat(4001), ..form() }, "replies"),
            (RuleForm { chance: "101".into(), ..form() }, "chance"),
            (RuleForm { chance: "".into(), ..form() }, "chance"),
            (RuleForm { after_s: "3".into(), ..form() }, "to_s"),
            (RuleForm { after_s: "-1".into(), ..form() }, "after_s"),
            (RuleForm { to_s: "86401".into(), ..form() }, "to_s"),
        ] {
            let errors = form.parse().unwrap_err();
            assert!(errors.of(wrong).is_some(), "{wrong}: {errors:?}");
        }
    }
}
