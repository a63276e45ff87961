use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::actions;
use super::domain::{ApprovalRule, BadDays, Blackout, Cap, House, MAX_CAP_DAYS, MAX_JITTER, copied, days_between};
use super::quiet_form::{own_times, typed};
use super::store;
use crate::access::{Administer, Role, View};
use crate::app::App;
use crate::clock::DayFromOutside;
use crate::db::{self, DbError, Error};
use crate::pacing::Quiet;
use crate::providers::BEGIN_WITHIN;
use crate::web::{FieldErrors, Frame, May, Problem, page, page_with, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(show)
        .service(set_quiet)
        .service(set_cap)
        .service(set_approval)
        .service(add_blackouts)
        .service(copy_blackouts)
        .service(remove_blackout);
}

/// The cards of the page; each is saved by itself.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Card {
    Quiet,
    Blackouts,
    Cap,
    Approval,
}

impl Card {
    /// The card as it is after a change.
    fn saved(self) -> HttpResponse {
        let word = match self {
            Card::Quiet => "quiet",
            Card::Blackouts => "blackouts",
            Card::Cap => "cap",
            Card::Approval => "approval",
        };
        see_other(format!("/settings?saved={word}#{word}"))
    }
}

/// The forms as they are saved, or as they were typed.
#[derive(Default)]
struct Forms {
    quiet: QuietHoursForm,
    cap: CapForm,
    approval: ApprovalForm,
    blackouts: BlackoutsForm,
}

impl Forms {
    fn of(house: &House) -> Self {
        Forms {
            quiet: QuietHoursForm::of(house),
            cap: CapForm::of(house.cap),
            approval: ApprovalForm::of(house.approval),
            blackouts: BlackoutsForm::default(),
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct QuietHoursForm {
    quiet_from: String,
    quiet_to: String,
    jitter_minutes: String,
}

impl QuietHoursForm {
    fn of(house: &House) -> Self {
        let (quiet_from, quiet_to) = typed(house.quiet);
        QuietHoursForm { quiet_from, quiet_to, jitter_minutes: house.jitter_minutes.to_string() }
    }

    fn parse(&self) -> Result<(Option<Quiet>, i16), FieldErrors> {
        let mut errors = FieldErrors::default();
        let quiet = match (self.quiet_from.trim(), self.quiet_to.trim()) {
            ("", "") => None,
            (from, to) => own_times(from, to, &mut errors),
        };
        let jitter = match self.jitter_minutes.trim() {
            "" => Some(0),
            text => text.parse().ok().filter(|minutes| (0..=MAX_JITTER).contains(minutes)),
        };
        match jitter {
            Some(jitter) if errors.is_empty() => Ok((quiet, jitter)),
            Some(_) => Err(errors),
            None => {
                errors.add("jitter_minutes", format!("A whole number from 0 to {MAX_JITTER}."));
                Err(errors)
            }
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct CapForm {
    cap_messages: String,
    cap_days: String,
}

impl CapForm {
    fn of(cap: Option<Cap>) -> Self {
        cap.map(|cap| CapForm { cap_messages: cap.messages.to_string(), cap_days: cap.days.to_string() })
            .unwrap_or_default()
    }

    fn parse(&self) -> Result<Option<Cap>, FieldErrors> {
        let (messages, days) = (self.cap_messages.trim(), self.cap_days.trim());
        if messages.is_empty() && days.is_empty() {
            return Ok(None);
        }
        let mut errors = FieldErrors::default();
        let messages = messages.parse().ok().filter(|messages| 0 < *messages);
        if messages.is_none() {
            errors.add("cap_messages", "A whole number above 0, or nothing in both fields for no cap.");
        }
        let days = days.parse().ok().filter(|days| (1..=MAX_CAP_DAYS).contains(days));
        if days.is_none() {
            errors.add("cap_days", format!("A whole number from 1 to {MAX_CAP_DAYS}."));
        }
        match messages.zip(days) {
            Some((messages, days)) => Ok(Some(Cap { messages, days })),
            None => Err(errors),
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ApprovalForm {
    approval: String,
    approval_above: String,
}

impl ApprovalForm {
    fn of(approval: ApprovalRule) -> Self {
        let (word, above) = match approval {
            ApprovalRule::Never => ("never", String::new()),
            ApprovalRule::Every => ("every", String::new()),
            ApprovalRule::Above(most) => ("above", most.to_string()),
        };
        ApprovalForm { approval: word.to_owned(), approval_above: above }
    }

    fn parse(&self) -> Result<ApprovalRule, FieldErrors> {
        let mut errors = FieldErrors::default();
        match self.approval.as_str() {
            "never" => return Ok(ApprovalRule::Never),
            "every" => return Ok(ApprovalRule::Every),
            "above" => match self.approval_above.trim().parse() {
                Ok(most) if 0 < most => return Ok(ApprovalRule::Above(most)),
                _ => errors.add("approval_above", "A whole number above 0."),
            },
            _ => errors.add("approval", "Choose one of these."),
        }
        Err(errors)
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct BlackoutsForm {
    name: String,
    first_day: String,
    last_day: String,
}

impl BlackoutsForm {
    fn parse(&self, today: NaiveDate) -> Result<(Vec<NaiveDate>, String), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.name.trim();
        if name.is_empty() {
            errors.add("name", "Say what day it is.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let first = self.first_day.trim().parse::<NaiveDate>().ok();
        if first.is_none() {
            errors.add("first_day", "A date, such as 2026-12-25.");
        }
        let last = match self.last_day.trim() {
            "" => first,
            text => text.parse().ok(),
        };
        if first.is_some() && last.is_none() {
            errors.add("last_day", "A date, such as 2026-12-26, or nothing for one day.");
        }
        let days = first.zip(last).map(|(first, last)| days_between(first, last, today));
        match days {
            Some(Ok(days)) if errors.is_empty() => return Ok((days, name.to_owned())),
            Some(Err(bad @ (BadDays::Passed | BadDays::TooFar))) => errors.add("first_day", bad.to_string()),
            Some(Err(bad @ (BadDays::Backwards | BadDays::TooMany))) => errors.add("last_day", bad.to_string()),
            Some(Ok(_)) | None => {}
        }
        Err(errors)
    }
}

#[derive(Template)]
#[template(path = "settings/show.html")]
struct Show<'a> {
    frame: Frame,
    house: House,
    blackouts: Vec<Blackout>,
    last_change: Option<(DateTime<Utc>, Option<String>)>,
    zone: Tz,
    today: NaiveDate,
    forms: Forms,
    errors: &'a FieldErrors,
    /// What was just changed.
    saved: Option<Card>,
    /// There are two servers, and one of them may take over without knowing everything.
    alone: bool,
}

impl<'a> Show<'a> {
    async fn read(frame: Frame, app: &App, errors: &'a FieldErrors) -> Result<Self, Problem> {
        let several = app.settings.several_hosts;
        let read = app.db.run(move |conn| {
            let alone = several && db::confirms_alone(conn)?;
            let (house, blackouts, last_change) = (store::house(conn)?, store::list(conn)?, store::last_change(conn)?);
            Ok::<_, diesel::result::Error>((house, blackouts, last_change, alone))
        });
        let (house, blackouts, last_change, alone) = read.await?;
        let zone = app.settings.time_zone;
        let forms = Forms::of(&house);
        Ok(Show { frame, house, blackouts, last_change, zone, today: today(app), forms, errors, saved: None, alone })
    }

    /// Blackout dates that lie ahead, by year; or those that have passed.
    fn years(&self, ahead: bool) -> Vec<Year<'_>> {
        let mut years: Vec<Year> = Vec::new();
        for blackout in self.blackouts.iter().filter(|blackout| (self.today <= blackout.day) == ahead) {
            let year = blackout.day.year();
            match years.last_mut().filter(|last| last.year == year) {
                Some(last) => last.blackouts.push(blackout),
                None => years.push(Year { year, blackouts: vec![blackout] }),
            }
        }
        years
    }

    /// Which years may be filled from the year before, and how many dates that is.
    fn copies(&self) -> Vec<(i32, usize)> {
        [self.today.year(), self.today.year() + 1]
            .map(|year| (year, copied(&self.blackouts, year, self.today).len()))
            .into_iter()
            .filter(|(_, n)| 0 < *n)
            .collect()
    }

    fn is_saved(&self, card: &Card) -> bool {
        self.saved == Some(*card)
    }
}

struct Year<'a> {
    year: i32,
    blackouts: Vec<&'a Blackout>,
}

/// The day as clocks show it where the installation is.
fn today(app: &App) -> NaiveDate {
    app.clock.now().with_timezone(&app.settings.time_zone).date_naive()
}

/// Waits, after settings have changed, until nothing can begin any more that was claimed
/// under the old ones. Claims read them in their own transaction, so those that have not
/// read the new ones began before the change, and have to begin in time.
async fn until_it_holds(app: &App) -> Result<(), Problem> {
    if app.db.run(store::is_anything_sending).await? {
        tokio::time::sleep(BEGIN_WITHIN + Duration::from_millis(200)).await;
    }
    Ok(())
}

/// The page once more, with what was typed in one of its forms.
async fn again(
    frame: Frame,
    app: &App,
    errors: &FieldErrors,
    typed: impl FnOnce(&mut Forms),
) -> Result<HttpResponse, Problem> {
    let mut again = Show::read(frame, app, errors).await?;
    typed(&mut again.forms);
    page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
}

#[derive(Deserialize)]
struct Saved {
    saved: Option<Card>,
}

#[get("/settings")]
async fn show(_may: May<View>, frame: Frame, app: Data<App>, query: Query<Saved>) -> Result<HttpResponse, Problem> {
    let errors = FieldErrors::default();
    page(Show { saved: query.saved, ..Show::read(frame, &app, &errors).await? })
}

#[post("/settings/quiet")]
async fn set_quiet(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    form: Form<QuietHoursForm>,
) -> Result<HttpResponse, Problem> {
    let (quiet, jitter_minutes) = match form.parse() {
        Ok(parsed) => parsed,
        Err(errors) => return again(frame, &app, &errors, |forms| forms.quiet = form.into_inner()).await,
    };
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::set_quiet(conn, quiet, jitter_minutes, by, now)).await?;
    until_it_holds(&app).await?;
    Ok(Card::Quiet.saved())
}

#[post("/settings/cap")]
async fn set_cap(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    form: Form<CapForm>,
) -> Result<HttpResponse, Problem> {
    let cap = match form.parse() {
        Ok(cap) => cap,
        Err(errors) => return again(frame, &app, &errors, |forms| forms.cap = form.into_inner()).await,
    };
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::set_cap(conn, cap, by, now)).await?;
    until_it_holds(&app).await?;
    Ok(Card::Cap.saved())
}

#[post("/settings/approval")]
async fn set_approval(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    form: Form<ApprovalForm>,
) -> Result<HttpResponse, Problem> {
    let approval = match form.parse() {
        Ok(approval) => approval,
        Err(errors) => return again(frame, &app, &errors, |forms| forms.approval = form.into_inner()).await,
    };
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::set_approval(conn, approval, by, now)).await?;
    Ok(Card::Approval.saved())
}

#[post("/settings/blackouts")]
async fn add_blackouts(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    form: Form<BlackoutsForm>,
) -> Result<HttpResponse, Problem> {
    let (days, name) = match form.parse(today(&app)) {
        Ok(parsed) => parsed,
        Err(errors) => return again(frame, &app, &errors, |forms| forms.blackouts = form.into_inner()).await,
    };
    let (by, now) = (may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::add_blackouts(conn, &days, &name, by, now)).await {
        Ok(()) => {
            until_it_holds(&app).await?;
            Ok(Card::Blackouts.saved())
        }
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut errors = FieldErrors::default();
            errors.add("first_day", refused.to_string());
            again(frame, &app, &errors, |forms| forms.blackouts = form.into_inner()).await
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct CopyForm {
    year: i32,
}

#[post("/settings/blackouts/copy")]
async fn copy_blackouts(may: May<Administer>, app: Data<App>, form: Form<CopyForm>) -> Result<HttpResponse, Problem> {
    let (year, today, by, now) = (form.year, today(&app), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::copy_blackouts(conn, year, today, by, now)).await?;
    until_it_holds(&app).await?;
    Ok(Card::Blackouts.saved())
}

#[post("/settings/blackouts/{day}/remove")]
async fn remove_blackout(
    may: May<Administer>,
    app: Data<App>,
    day: Path<DayFromOutside>,
) -> Result<HttpResponse, Problem> {
    let (DayFromOutside(day), by, now) = (day.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::remove_blackout(conn, day, by, now)).await?;
    Ok(Card::Blackouts.saved())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> NaiveDate {
        "2026-12-24".parse().unwrap()
    }

    #[test]
    fn settings_come_back_from_their_forms_as_they_were() {
        let (quiet, jitter_minutes) =
            QuietHoursForm { quiet_from: "21:00".into(), quiet_to: "08:00".into(), jitter_minutes: "10".into() }
                .parse()
                .unwrap();
        let house = House { quiet, jitter_minutes, ..House::default() };
        assert_eq!(QuietHoursForm::of(&house).parse(), Ok((quiet, 10)));
        assert!(quiet.is_some());
        assert_eq!(QuietHoursForm::default().parse(), Ok((None, 0)), "empty: no quiet hours");
        for cap in [None, Some(Cap { messages: 3, days: 7 })] {
            assert_eq!(CapForm::of(cap).parse(), Ok(cap));
        }
        for approval in [ApprovalRule::Never, ApprovalRule::Every, ApprovalRule::Above(500)] {
            assert_eq!(ApprovalForm::of(approval).parse(), Ok(approval));
        }
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        let quiet = |from: &str, to: &str, jitter: &str| {
            QuietHoursForm { quiet_from: from.into(), quiet_to: to.into(), jitter_minutes: jitter.into() }.parse()
        };
        let cap = |messages: &str, days: &str| CapForm { cap_messages: messages.into(), cap_days: days.into() }.parse();
        let approval =
            |word: &str, above: &str| ApprovalForm { approval: word.into(), approval_above: above.into() }.parse();
        let blackouts = |name: &str, first: &str, last: &str| {
            BlackoutsForm { name: name.into(), first_day: first.into(), last_day: last.into() }.parse(today())
        };
        for (errors, wrong) in [
            (quiet("21:00", "", "0").unwrap_err(), "quiet_to"),
            (quiet("", "08:00", "0").unwrap_err(), "quiet_from"),
            (quiet("08:00", "08:00", "0").unwrap_err(), "quiet_to"),
            (quiet("21:00", "08:00", "61").unwrap_err(), "jitter_minutes"),
            (quiet("21:00", "08:00", "-1").unwrap_err(), "jitter_minutes"),
            (cap("3", "").unwrap_err(), "cap_days"),
            (cap("", "7").unwrap_err(), "cap_messages"),
            (cap("0", "7").unwrap_err(), "cap_messages"),
            (cap("3", "91").unwrap_err(), "cap_days"),
            (approval("above", "0").unwrap_err(), "approval_above"),
            (approval("above", "").unwrap_err(), "approval_above"),
            (approval("", "").unwrap_err(), "approval"),
            (blackouts("", "2026-12-25", "").unwrap_err(), "name"),
            (blackouts("Christmas", "25/12", "").unwrap_err(), "first_day"),
            (blackouts("Christmas", "2026-12-23", "").unwrap_err(), "first_day"),
            (blackouts("Christmas", "2026-12-25", "soon").unwrap_err(), "last_day"),
            (blackouts("Christmas", "2026-12-25", "2026-12-24").unwrap_err(), "last_day"),
        ] {
            assert!(errors.of(wrong).is_some(), "{wrong}: {errors:?}");
        }
    }
}
