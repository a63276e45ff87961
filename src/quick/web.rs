//! A quick campaign: one page, one form, one plain SMS.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use uuid::Uuid;

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::{self, store};
use crate::contacts::addresses::{TwoWays, normalise, spaced};
use crate::contacts::regions;
use crate::db::{DbError, Error};
use crate::drafting::Refused;
use crate::files::domain::{File, Mapping, State};
use crate::files::refusal::Refusal;
use crate::files::web::{FilePurpose, Panel};
use crate::files::{self, import, upload};
use crate::folding::folded;
use crate::ids::{CampaignId, ChannelId, FileId, ListId, UserId};
use crate::pacing::{self, Calendar, Rate};
use crate::providers::Kind;
use crate::quick::actions::{Quick, QuickTo, Stands};
use crate::quick::typed::Typed;
use crate::quick::understood::{QuickSource, Understood, late, understood};
use crate::schedules::Draft;
use crate::web::chart::thousands;
use crate::web::{
    FieldErrors, Frame, Htmx, Incoming, May, Problem, heavy, in_turn, page, page_with, reckon, see_other,
};
use crate::wording::{Segments, Template as Text, segments};
use crate::{channels, lists, settings};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(ask).service(send).service(keep).service(check).service(measure).service(wait);
}

/// On the form: every number has its country code.
const EVERYWHERE: &str = "everywhere";
/// The longest text. What it costs is told long before.
const LONGEST_TEXT: usize = 5000;
/// As the database has it.
const FASTEST: f64 = 6_000_000.0;
/// Files up to this size are imported while one waits; larger ones by a tick.
const SMALL: i64 = 1 << 20;
/// Bytes that the typed numbers may have.
const LONGEST_FIELD: usize = 512 << 10;
/// What cannot be used is listed up to here.
const LISTED: usize = 20;

/// The form as typed.
#[derive(Clone, Debug, Default, PartialEq)]
struct QuickForm {
    start_key: String,
    name: String,
    channel: String,
    /// `numbers`, `file` or `list`.
    to: String,
    numbers: String,
    region: String,
    two_ways: TwoWays,
    /// A file that was uploaded with this form before.
    kept: Option<FileId>,
    list: String,
    body: String,
    /// `now` or `later`.
    when: String,
    date: String,
    time: String,
    /// Empty for an automatic rate.
    rate: String,
    /// Empty: as late as it takes.
    end: String,
    /// What cannot be used has been seen and is left out.
    only_good: bool,
}

impl QuickForm {
    /// What is offered: now, sixty a minute.
    fn fresh(key: Uuid, last_region: Option<String>, zone: Tz, now: DateTime<Utc>) -> Self {
        let local = now.with_timezone(&zone);
        let soon = local.naive_local() + TimeDelta::hours(1);
        QuickForm {
            start_key: key.to_string(),
            name: format!("Quick {}", local.format("%-d %b %H:%M")),
            to: "numbers".to_owned(),
            region: last_region.unwrap_or_else(|| EVERYWHERE.to_owned()),
            when: "now".to_owned(),
            date: soon.date().to_string(),
            time: soon.format("%H:00").to_string(),
            rate: "60".to_owned(),
            ..QuickForm::default()
        }
    }

    /// What it is sent with, apart from a file.
    const FIELDS: [&'static str; 16] = [
        "start_key",
        "name",
        "channel",
        "to",
        "numbers",
        "region",
        "two_ways",
        "kept",
        "list",
        "body",
        "when",
        "date",
        "time",
        "rate",
        "end",
        "only_good",
    ];

    fn of(sent: &upload::Form) -> Self {
        let take = |name: &str| sent.texts.text(name);
        QuickForm {
            start_key: take("start_key"),
            name: take("name"),
            channel: take("channel"),
            to: take("to"),
            numbers: take("numbers"),
            region: take("region"),
            two_ways: TwoWays::of_word(&take("two_ways")).unwrap_or_default(),
            kept: take("kept").parse().ok().map(FileId),
            list: take("list"),
            body: take("body").replace("\r\n", "\n"),
            when: take("when"),
            date: take("date"),
            time: take("time"),
            rate: take("rate"),
            end: take("end"),
            only_good: take("only_good") == "yes",
        }
    }

    fn has_numbers(&self) -> bool {
        self.to != "file" && self.to != "list"
    }

    /// What its numbers are, when it goes to numbers.
    async fn typed(&self) -> Result<Option<Typed>, Problem> {
        if !self.has_numbers() {
            return Ok(None);
        }
        let (numbers, region) = (self.numbers.clone(), self.stored_region().to_owned());
        let two_ways = self.two_ways;
        heavy(move || Typed::read(&numbers, &region, two_ways)).await.map(Some)
    }

    /// As files keep it: empty when every number has its country code.
    fn stored_region(&self) -> &str {
        if self.region == EVERYWHERE { "" } else { &self.region }
    }
}

/// A form without a mistake, as far as one sees without importing anything.
struct Parsed {
    key: String,
    name: String,
    channel: ChannelId,
    to: Wanted,
    body: String,
    starts: NaiveDateTime,
    later: bool,
    rate: Rate,
    end: Option<NaiveTime>,
}

enum Wanted {
    Numbers(Typed),
    File(FileId),
    List(ListId),
}

fn time_of(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

impl QuickForm {
    fn parse(&self, facts: &Facts, typed: Option<Typed>, zone: Tz, now: DateTime<Utc>) -> Result<Parsed, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = folded(&self.name);
        if name.is_empty() {
            errors.add("name", "Give the campaign a name.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let channel = self.channel.parse().map(ChannelId).unwrap_or(ChannelId(0));
        if !facts.channels.iter().any(|(id, _)| *id == channel) {
            errors.add("channel", "Choose a sender.");
        }
        if self.region != EVERYWHERE && regions::name(&self.region).is_none() {
            errors.add("region", "Choose the country that numbers without a country code belong to.");
        }
        let to = self.whom(facts, typed.unwrap_or_default(), &mut errors);
        if self.body.trim().is_empty() {
            errors.add("body", "Write the text.");
        } else if self.body.chars().count() > LONGEST_TEXT {
            errors.add("body", format!("At most {LONGEST_TEXT} characters."));
        }
        let later = self.when == "later";
        let here = now.with_timezone(&zone).naive_local();
        let starts = match later {
            false => here.with_nanosecond(0),
            true => {
                let (date, time) = (self.date.trim().parse::<NaiveDate>().ok(), time_of(&self.time));
                if date.is_none() {
                    errors.add("date", "A date, such as 2026-03-25.");
                }
                if time.is_none() {
                    errors.add("time", "A time, such as 09:00.");
                }
                date.zip(time).map(|(date, time)| date.and_time(time))
            }
        };
        if later && starts.is_some_and(|starts| pacing::instant(starts.date(), starts.time(), zone) < now) {
            errors.add("time", format!("This has passed: it is {} in {zone}.", here.format("%H:%M")));
        }
        let rate = match self.rate.trim() {
            "" => Some(Rate::Auto),
            text => text.parse().ok().filter(|rate| 0.0 < *rate && *rate <= FASTEST).map(Rate::Fixed),
        };
        if rate.is_none() {
            errors.add("rate", "A number above 0 and up to 6,000,000, or nothing for an automatic rate.");
        }
        let end = match self.end.trim() {
            "" => None,
            text => {
                let end = time_of(text);
                if end.is_none() {
                    errors.add("end", "A time, such as 18:00, or nothing.");
                }
                end
            }
        };
        if let (Some(starts), Some(end)) = (starts, end)
            && pacing::window(starts.date(), starts.time(), end, zone).is_err()
        {
            errors.add("end", "Another time than the start.");
        }
        match (to, starts, rate) {
            (Some(to), Some(starts), Some(rate)) if errors.is_empty() => Ok(Parsed {
                key: self.start_key.clone(),
                name,
                channel,
                to,
                body: self.body.clone(),
                starts,
                later,
                rate,
                end,
            }),
            _ => Err(errors),
        }
    }

    fn whom(&self, facts: &Facts, typed: Typed, errors: &mut FieldErrors) -> Option<Wanted> {
        match self.to.as_str() {
            "file" => {
                match (&facts.kept, self.kept) {
                    (Some(_), _) => {}
                    (None, Some(_)) => errors.add("file", "The file that was kept is gone. Choose it again."),
                    (None, None) => errors.add("file", "Choose a file with your contacts."),
                }
                facts.kept.as_ref().map(|file| Wanted::File(file.id))
            }
            "list" => {
                let list = facts.lists.iter().find(|(id, _)| id.to_string() == self.list);
                if list.is_none() {
                    errors.add("list", "Choose a list.");
                }
                list.map(|(id, _)| Wanted::List(*id))
            }
            _ => {
                let why = match typed.good.len() {
                    0 if typed.is_empty() => Some("Type or paste at least one number.".to_owned()),
                    0 => Some("None of these is a number that can be sent to.".to_owned()),
                    n if n > crate::quick::typed::MOST => Some(format!(
                        "These are {} numbers; up to {} fit here. Upload them as a file.",
                        thousands(n as i64),
                        thousands(crate::quick::typed::MOST as i64)
                    )),
                    _ => None,
                };
                if let Some(why) = why {
                    errors.add("numbers", why);
                    return None;
                }
                Some(Wanted::Numbers(typed))
            }
        }
    }
}

/// How a check of the typed numbers came out.
struct Checked {
    typed: Typed,
}

impl Checked {
    fn n(&self) -> String {
        numbers(self.typed.good.len() + self.typed.n_bad)
    }

    /// The first of them, as they will be dialled.
    fn first(&self) -> String {
        let shown = self.typed.good.iter().take(3).map(|number| spaced(number)).collect::<Vec<_>>();
        match self.typed.good.len() - shown.len() {
            0 => shown.join(", "),
            more => format!("{} and {} more", shown.join(", "), thousands(more as i64)),
        }
    }

    fn bad(&self) -> String {
        thousands(self.typed.n_bad as i64)
    }

    fn listed(&self) -> &[crate::quick::typed::Bad] {
        &self.typed.bad[..self.typed.bad.len().min(LISTED)]
    }

    fn more(&self) -> usize {
        self.typed.n_bad - self.listed().len()
    }
}

fn numbers(n: usize) -> String {
    match n {
        1 => "1 number".to_owned(),
        n => format!("{} numbers", thousands(n as i64)),
    }
}

/// What a text comes to.
struct Measured {
    segments: Segments,
    /// Look like fields and are none.
    unknown: Vec<String>,
    typed_numbers: bool,
}

impl Measured {
    /// `fields`: what the contacts have; `None` while nobody can know.
    fn of(body: &str, fields: Option<&[String]>, typed_numbers: bool) -> Self {
        let unknown = fields.map(|fields| Text::parse(body, fields).unknown().to_vec()).unwrap_or_default();
        Measured { segments: segments(body), unknown, typed_numbers }
    }

    fn n_sms(&self) -> String {
        match self.segments.parts {
            1 => "1 SMS".to_owned(),
            n => format!("{n} SMS"),
        }
    }
}

/// What the page offers.
struct Facts {
    channels: Vec<(ChannelId, String)>,
    lists: Vec<(ListId, String)>,
    kept: Option<File>,
}

impl Facts {
    fn fields(&self, to: &str) -> Option<Vec<String>> {
        match (to, &self.kept) {
            ("file", Some(file)) => Some(file.head.headers.clone()),
            ("file" | "list", _) => None,
            _ => Some(Vec::new()),
        }
    }
}

async fn facts(app: &App, kept: Option<FileId>) -> Result<Facts, Problem> {
    let facts = app.db.run(move |conn| {
        let sms = |sender: &channels::domain::Channel| sender.kind == Kind::Sms;
        let channels = channels::store::list(conn)?.into_iter().filter(sms);
        let lists = lists::store::all(conn)?.into_iter().filter(|list| list.kind == Kind::Sms);
        let kept = match kept.map(|file| files::store::find(conn, file)).transpose() {
            Err(diesel::result::Error::NotFound) => None,
            kept => kept?,
        };
        Ok::<_, Problem>(Facts {
            channels: channels
                .map(|sender| (sender.id, format!("{} (from {})", sender.setup.name, sender.setup.sender)))
                .collect(),
            lists: lists.map(|list| (list.id, list.name)).collect(),
            kept,
        })
    });
    Ok(facts.await?)
}

#[derive(Template)]
#[template(path = "campaigns/quick.html")]
struct Page<'a> {
    frame: Frame,
    form: &'a QuickForm,
    errors: &'a FieldErrors,
    facts: &'a Facts,
    zone: Tz,
    checked: Option<Checked>,
    measured: Option<Measured>,
    /// Nothing was sent yet because this has to be looked at.
    asks: Option<Understood>,
}

/// What stands below the numbers and follows them as they are typed.
#[derive(Template)]
#[template(path = "campaigns/_quick_checked.html")]
struct CheckedPart {
    checked: Option<Checked>,
}

/// What stands below the text and follows it as it is typed.
#[derive(Template)]
#[template(path = "campaigns/_quick_measured.html")]
struct MeasuredPart {
    measured: Option<Measured>,
}

/// What stands where a file is chosen, once one was.
#[derive(Template)]
#[template(path = "campaigns/_quick_file.html")]
struct FilePart<'a> {
    errors: &'a FieldErrors,
    facts: &'a Facts,
    region: &'a str,
}

impl Facts {
    /// What the kept file's first rows come to.
    fn kept_look(&self, region: &str) -> Option<KeptLook> {
        let file = self.kept.as_ref()?;
        let mapping = Mapping::guess(&file.head.headers, &file.head.sample);
        let column = mapping.channel_id().filter(|_| mapping.is_certain(&file.head));
        let numbers = column.into_iter().flat_map(|column| {
            let cells = file.head.sample.iter().filter_map(move |row| row.get(column));
            cells.filter_map(|cell| normalise(Kind::Sms, cell, region).ok()).map(|number| spaced(&number))
        });
        Some(KeptLook {
            name: file.name.clone(),
            column: column.and_then(|column| file.head.headers.get(column).cloned()),
            numbers: numbers.take(3).collect::<Vec<_>>().join(", "),
            fields: file.head.headers.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(", "),
        })
    }
}

struct KeptLook {
    name: String,
    /// Of the phone numbers, when it is certain.
    column: Option<String>,
    /// The first of them, as they will be dialled.
    numbers: String,
    fields: String,
}

impl<'a> Page<'a> {
    fn new(
        frame: Frame,
        form: &'a QuickForm,
        errors: &'a FieldErrors,
        facts: &'a Facts,
        typed: Option<Typed>,
        zone: Tz,
    ) -> Self {
        let checked = typed.filter(|typed| !typed.is_empty()).map(|typed| Checked { typed });
        let fields = facts.fields(&form.to);
        let typed_numbers = form.has_numbers();
        let measured = (!form.body.is_empty()).then(|| Measured::of(&form.body, fields.as_deref(), typed_numbers));
        Page { frame, form, errors, facts, zone, checked, measured, asks: None }
    }

    fn goes_to(&self, to: &str) -> bool {
        self.form.to == to
    }

    fn file_part(&self) -> FilePart<'_> {
        FilePart { errors: self.errors, facts: self.facts, region: self.form.stored_region() }
    }

    fn end_hint(&self) -> String {
        format!("In {}. Empty: when there was time for all, less than a day later.", self.zone)
    }

    fn is_later(&self) -> bool {
        self.form.when == "later"
    }
}

/// Stands in the address, so that whoever goes back to a form that was sent finds what became of it.
#[derive(Deserialize)]
struct Begun {
    key: Option<Uuid>,
}

#[get("/campaigns/quick")]
async fn ask(may: May<Manage>, frame: Frame, app: Data<App>, begun: Query<Begun>) -> Result<HttpResponse, Problem> {
    let Some(key) = begun.key else {
        return Ok(see_other(format!("/campaigns/quick?key={}", Uuid::new_v4())));
    };
    let (by, zone) = (may.person.id, app.settings.time_zone);
    let (started, last) = app
        .db
        .run(move |conn| {
            let started = crate::quick::actions::started(conn, &key.to_string())?;
            Ok::<_, Problem>((started, files::store::last_region(conn, by)?))
        })
        .await?;
    if let Some(started) = started {
        return Ok(see_other(place(started)));
    }
    let facts = facts(&app, None).await?;
    let form = QuickForm::fresh(key, last, zone, app.clock.now());
    page(Page::new(frame, &form, &FieldErrors::default(), &facts, None, zone))
}

async fn started(app: &App, key: &str) -> Result<Option<(CampaignId, Stands)>, Problem> {
    let key = key.to_owned();
    Ok(app.db.run(move |conn| crate::quick::actions::started(conn, &key)).await?)
}

/// How long a request waits for another with the same key.
const LONGEST_TURN: Duration = Duration::from_secs(30);

/// Waits until no other request with this key is being dealt with.
async fn turn(app: &App, key: &str) -> Result<crate::quick::actions::QuickTurn, Problem> {
    let until = Instant::now() + LONGEST_TURN;
    loop {
        let (db, key) = (app.db.clone(), key.to_owned());
        let taken = spawn_blocking(move || crate::quick::actions::take_turn(&db, &key)).await;
        if let Some(turn) = taken.map_err(|error| Problem::Unexpected(error.into()))?.map_err(Problem::Unexpected)? {
            return Ok(turn);
        }
        if until <= Instant::now() {
            return Err(Problem::Conflict(
                "This is being sent off already. Look for it among the campaigns.".to_owned(),
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[post("/campaigns/quick")]
async fn send(may: May<Manage>, frame: Frame, app: Data<App>, form: Incoming) -> Result<HttpResponse, Problem> {
    let (by, now, zone) = (may.person.id, app.clock.now(), app.settings.time_zone);
    let sent = upload::Form::read(form, &QuickForm::FIELDS).await?;
    let mut form = QuickForm::of(&sent);
    if Uuid::parse_str(&form.start_key).is_err() || form.numbers.len() > LONGEST_FIELD {
        return Err(Problem::Invalid("The form did not come through whole".to_owned()));
    }
    let _turn = turn(&app, &form.start_key).await?;
    if let Some(started) = started(&app, &form.start_key).await? {
        return Ok(see_other(place(started)));
    }
    let mut refused = None;
    // Chosen and then not wanted: it is not stored.
    if form.to == "file" {
        match sent.keep(&app, Kind::Sms, by, now).await {
            Ok(file) => form.kept = Some(file),
            Err(upload::Failed::Refused(Refusal::NoFile)) => {}
            Err(upload::Failed::Refused(refusal)) => refused = Some(refusal),
            Err(error) => return Err(error.into()),
        }
    }
    let facts = facts(&app, form.kept).await?;
    let typed = form.typed().await?;
    let again = |errors: FieldErrors, asks: Option<Understood>| {
        let page = Page { asks, ..Page::new(frame, &form, &errors, &facts, typed.clone(), zone) };
        page_with(StatusCode::UNPROCESSABLE_ENTITY, page)
    };
    if let Some(refusal) = refused {
        let mut errors = FieldErrors::default();
        errors.add("file", refusal.to_string());
        return again(errors, None);
    }
    let parsed = match form.parse(&facts, typed.clone(), zone, now) {
        Ok(parsed) => parsed,
        Err(errors) => return again(errors, None),
    };
    let contacts = match &parsed.to {
        // Nothing is made of numbers before it is settled that they are sent to.
        Wanted::Numbers(_) => None,
        Wanted::File(_) | Wanted::List(_) => Some(contacts(&app, &parsed, &form, by).await?),
    };
    let understood = understood_of(&app, &parsed, contacts.as_ref(), zone).await?;
    if let Some(understood) =
        understood.as_ref().filter(|it| it.good == 0 && it.doubtful.n == 0 && matches!(parsed.to, Wanted::File(_)))
    {
        let mut errors = FieldErrors::default();
        let first = understood.left_out.first().map_or_else(String::new, |why| format!(" {why}"));
        errors.add("file", format!("No row of this file can be sent to.{first}"));
        return again(errors, None);
    }
    let reread = contacts.as_ref().is_some_and(|contacts| contacts.reread);
    if let Some(understood) = understood.filter(|it| {
        let none_chosen = it.good == 0 && it.doubtful.n > 0;
        reread || none_chosen || (it.asks() && !form.only_good)
    }) {
        return again(FieldErrors::default(), Some(understood));
    }
    let contacts = match contacts {
        Some(contacts) => contacts,
        None => self::contacts(&app, &parsed, &form, by).await?,
    };
    let quick = planned(&app, parsed, contacts, zone).await?;
    match app.db.run(move |conn| crate::quick::actions::start(conn, &quick, by, now)).await {
        Ok(started) => Ok(see_other(place(started))),
        Err(DbError::Work(Error::Refused(refused @ Refused::Campaign(campaigns::Refused::NameTaken(_))))) => {
            let mut errors = FieldErrors::default();
            errors.add("name", refused.to_string());
            again(errors, None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Where somebody looks who has just sent it off.
fn place((id, stands): (CampaignId, Stands)) -> String {
    match stands {
        Stands::Launched => format!("/campaigns?open={id}#campaign-{id}"),
        Stands::Importing => format!("/campaigns/quick/{id}"),
        Stands::Draft => format!("/campaigns/{id}/edit#review"),
    }
}

/// Whom it goes to, and how many that are where one knows.
struct Contacts {
    to: QuickTo,
    n: Option<i64>,
    /// Its file was read otherwise than when somebody looked last.
    reread: bool,
}

/// Makes contacts of what was typed or uploaded.
async fn contacts(app: &App, parsed: &Parsed, form: &QuickForm, by: UserId) -> Result<Contacts, Problem> {
    let (now, region, two_ways) = (app.clock.now(), form.stored_region().to_owned(), form.two_ways);
    let file = match &parsed.to {
        Wanted::List(list) => {
            let list = *list;
            let n = app.db.run(move |conn| lists::store::count_audience(conn, &[list], &[], Kind::Sms)).await?;
            return Ok(Contacts { to: QuickTo::List(list), n: Some(n), reread: false });
        }
        Wanted::File(file) => *file,
        Wanted::Numbers(typed) => {
            let (db, name, bytes) = (app.db.clone(), format!("{}.csv", parsed.name), typed.as_file());
            let received = spawn_blocking(move || upload::receive_here(&db, &name, &bytes, Kind::Sms, by, now));
            received.await.map_err(|error| Problem::Unexpected(error.into()))??
        }
    };
    let found = app.db.run(move |conn| files::store::find(conn, file)).await?;
    let mapping = Mapping::guess(&found.head.headers, &found.head.sample);
    // What its columns are is asked on the page of the draft when nobody can tell.
    let sure = found.state == State::Received && mapping.is_certain(&found.head);
    if sure && found.size_bytes <= SMALL {
        let (db, clock) = (app.db.clone(), app.clock.clone());
        let imported = spawn_blocking(move || import::at_once(&db, &clock, file, mapping, region, two_ways, by));
        imported.await.map_err(|error| Problem::Unexpected(error.into()))?.map_err(Problem::Unexpected)?;
    } else if sure {
        app.db.run(move |conn| files::actions::import(conn, file, mapping, region, two_ways, by, now)).await?;
    }
    // It was imported before somebody saw that numbers could be read in two ways, and chose.
    let imported = matches!(found.state, State::Imported { .. });
    let reread = imported && found.counts.two_ways > 0 && found.two_ways != two_ways;
    if reread {
        let (db, clock) = (app.db.clone(), app.clock.clone());
        let imported = spawn_blocking(move || import::settle_at_once(&db, &clock, file, two_ways, by));
        imported.await.map_err(|error| Problem::Unexpected(error.into()))?.map_err(Problem::Unexpected)?;
    }
    let found = app.db.run(move |conn| files::store::find(conn, file)).await?;
    let n = matches!(found.state, State::Imported { .. }).then_some(found.counts.good);
    Ok(Contacts { to: QuickTo::File(file), n, reread })
}

/// What was understood, as far as it is known: a large file is still on its way, and nobody can tell the columns
/// of some.
async fn understood_of(
    app: &App,
    parsed: &Parsed,
    contacts: Option<&Contacts>,
    zone: Tz,
) -> Result<Option<Understood>, Problem> {
    let (body, rate, starts, end) = (parsed.body.clone(), parsed.rate, parsed.starts, parsed.end);
    let typed = match &parsed.to {
        Wanted::Numbers(typed) => Some(typed.clone()),
        Wanted::File(_) | Wanted::List(_) => None,
    };
    let known = contacts.map(|contacts| (contacts.to, contacts.n));
    let understood = app.db.run(move |conn| {
        let source = match (&typed, known) {
            (Some(typed), _) => QuickSource::Numbers(typed),
            (None, Some((QuickTo::File(file), Some(_)))) => QuickSource::File(file),
            (None, Some((QuickTo::List(_), n))) => QuickSource::List(n.unwrap_or_default()),
            (None, Some((QuickTo::File(_), None)) | None) => return Ok::<_, diesel::result::Error>(None),
        };
        let mut understood = understood(conn, &source, &body)?;
        if let Some(end) = end
            && let Ok(window) = pacing::window(starts.date(), starts.time(), end, zone)
        {
            let calendar = settings::calendars::of_new(conn, zone)?;
            understood.late = late(understood.good, rate, window.starts, window.ends, &calendar);
        }
        Ok(Some(understood))
    });
    Ok(understood.await?)
}

async fn planned(app: &App, parsed: Parsed, contacts: Contacts, zone: Tz) -> Result<Quick, Problem> {
    let calendar = app.db.run(move |conn| settings::calendars::of_new(conn, zone)).await?;
    let (date, start) = (parsed.starts.date(), parsed.starts.time());
    let starts = pacing::instant(date, start, zone);
    let end = parsed.end.unwrap_or_else(|| {
        let ends = end_for(starts, contacts.n, parsed.rate, &calendar);
        ends.with_timezone(&zone).time()
    });
    let plan = Draft {
        rate: parsed.rate,
        // What is sent now does not hurry when its file took a moment.
        late: match (parsed.later, parsed.rate) {
            (false, Rate::Fixed(_)) => pacing::LatePolicy::KeepRate,
            (_, rate) => pacing::LatePolicy::default_for(rate),
        },
        ..Draft::once("Main", parsed.channel, &parsed.body, date, start, end, 1.0)
    };
    Ok(Quick { key: parsed.key, name: parsed.name, zone, to: contacts.to, plan })
}

/// When it ends if nobody says: late enough for everybody, quiet hours and a quarter of
/// the time to spare counted in, after an hour at least and less than a day. On a full minute.
fn end_for(starts: DateTime<Utc>, contacts: Option<i64>, rate: Rate, calendar: &Calendar) -> DateTime<Utc> {
    let (least, most) = (TimeDelta::hours(1), TimeDelta::minutes(23 * 60 + 58));
    let needed = match (contacts, rate) {
        (_, Rate::Auto) => least,
        (Some(n), Rate::Fixed(rate)) => {
            let minutes = (n as f64 / rate * 1.25).ceil().min(most.num_minutes() as f64);
            TimeDelta::minutes(minutes as i64).clamp(least, most)
        }
        (None, Rate::Fixed(_)) => most,
    };
    let last = starts + most;
    let holds = calendar.closed(0, starts, last);
    let mut ends = starts + needed;
    while ends < last && holds.open_time(starts, ends) < needed {
        ends += needed - holds.open_time(starts, ends);
    }
    let ends = ends.min(last);
    let into_minute = TimeDelta::seconds(i64::from(ends.second()));
    if into_minute.is_zero() { ends } else { ends - into_minute + TimeDelta::minutes(1) }
}

/// Keeps a file as soon as it is chosen, and shows what it is.
#[post("/campaigns/quick/file")]
async fn keep(may: May<Manage>, app: Data<App>, form: Incoming) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let sent = upload::Form::read(form, &QuickForm::FIELDS).await?;
    let mut form = QuickForm::of(&sent);
    let mut errors = FieldErrors::default();
    match sent.keep(&app, Kind::Sms, by, now).await {
        Ok(file) => form.kept = Some(file),
        Err(upload::Failed::Refused(Refusal::NoFile)) => {}
        Err(upload::Failed::Refused(refusal)) => errors.add("file", refusal.to_string()),
        Err(error) => return Err(error.into()),
    }
    let facts = facts(&app, form.kept).await?;
    page(FilePart { errors: &errors, facts: &facts, region: form.stored_region() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CheckForm {
    numbers: String,
    region: String,
    two_ways: String,
}

/// Changes nothing; it is a POST because numbers are longer than addresses may be.
#[post("/campaigns/quick/check", wrap = "from_fn(in_turn)")]
async fn check(_may: May<Manage>, app: Data<App>, form: Form<CheckForm>) -> Result<HttpResponse, Problem> {
    let CheckForm { numbers, region, two_ways } = form.into_inner();
    let two_ways = TwoWays::of_word(&two_ways).unwrap_or_default();
    let region = if region == EVERYWHERE { String::new() } else { region };
    let typed = reckon(&app, move || Typed::read(&numbers, &region, two_ways)).await?;
    let checked = (!typed.is_empty()).then_some(Checked { typed });
    page(CheckedPart { checked })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MeasureForm {
    body: String,
    to: String,
    kept: String,
}

/// As [`check`], for the text.
#[post("/campaigns/quick/measure", wrap = "from_fn(in_turn)")]
async fn measure(_may: May<Manage>, app: Data<App>, form: Form<MeasureForm>) -> Result<HttpResponse, Problem> {
    let facts = facts(&app, form.kept.parse().ok().map(FileId)).await?;
    let body = form.body.replace("\r\n", "\n");
    let typed_numbers = form.to != "file" && form.to != "list";
    let fields = facts.fields(&form.to);
    let measured = reckon(&app, move || Measured::of(&body, fields.as_deref(), typed_numbers)).await?;
    page(MeasuredPart { measured: Some(measured) })
}

/// Where one waits for a large file.
#[derive(Template)]
#[template(path = "campaigns/quick_wait.html")]
struct Wait {
    frame: Frame,
    id: CampaignId,
    name: String,
    panel: Panel,
}

/// The file on its way; leads on to the Campaigns screen when the campaign is launched.
#[get("/campaigns/quick/{id:\\d+}")]
async fn wait(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, by) = (id.into_inner(), may.person.id);
    let (stands, name, look) = app
        .db
        .run(move |conn| {
            let campaign = store::find(conn, id)?;
            let look = campaign.file_id.map(|file| files::actions::look(conn, file, by)).transpose()?;
            Ok::<_, Problem>((crate::quick::actions::stands(conn, id)?, campaign.name, look))
        })
        .await?;
    match (stands, look) {
        (Stands::Importing, Some(look)) => match htmx {
            Htmx(true) => Ok(HttpResponse::NoContent().finish()),
            Htmx(false) => {
                let panel = Panel::new(look, FilePurpose { campaign: Some(id) }, may.person.role);
                page(Wait { frame, id, name, panel })
            }
        },
        _ => Ok(htmx.leave_for(&place((id, stands)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::Quiet;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    #[test]
    fn there_is_time_for_everybody_when_nobody_says_when_it_ends() {
        let open = Calendar::open(Tz::UTC);
        let ends = |n, rate, calendar: &Calendar| end_for(utc("20:00:30"), n, rate, calendar);
        assert_eq!(ends(Some(10), Rate::Fixed(60.0), &open), utc("21:01:00"));
        assert_eq!(ends(Some(6000), Rate::Fixed(60.0), &open), utc("22:06:00"));
        assert_eq!(ends(Some(6000), Rate::Auto, &open), utc("21:01:00"));
        assert_eq!(ends(None, Rate::Fixed(60.0), &open) - utc("20:00:00"), TimeDelta::minutes(23 * 60 + 59));

        let time = |text: &str| time_of(text).unwrap();
        let quiet = Some(Quiet::new(time("20:30"), time("08:00")).unwrap());
        let nights = Calendar { quiet, ..Calendar::open(Tz::UTC) };
        assert_eq!(ends(Some(10), Rate::Fixed(60.0), &nights).to_rfc3339(), "2026-03-03T08:31:00+00:00");
    }
}
