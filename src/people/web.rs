use std::time::Duration;

use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use tokio::time::timeout;

use super::actions::{self, Attempt};
use super::domain::{
    InboxAlerts, NewUser, Refused, User, email_trouble, is_password, name_trouble, password_trouble_of, peer_of,
    tidy_email, whose,
};
use super::{first_password, known, store};
use crate::access::{Actor, Administer, Person, Role, View};
use crate::app::App;
use crate::config::Settings;
use crate::db::{DbError, Error};
use crate::ids::UserId;
use crate::web::{
    FieldErrors, Frame, Htmx, May, Problem, Say, caller, local_path, page, page_with, see_other, who_asks,
};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(sign_in_page)
        .service(sign_in)
        .service(sign_out)
        .service(list)
        .service(new_page)
        .service(add)
        .service(show)
        .service(edit)
        .service(set_password)
        .service(set_role)
        .service(disable)
        .service(enable)
        .service(account)
        .service(set_own_password)
        .service(set_own_alerts);
}

// Signing in and out

/// The same whether the password is wrong, the address unknown or the person disabled.
const NO_MATCH: &str = "That e-mail address and password do not go together.";

#[derive(Deserialize)]
struct Destination {
    #[serde(default)]
    next: String,
}

/// Where to go after signing in: `next` if it is a page of ours.
fn destination(next: &str) -> &str {
    local_path(next).filter(|path| !path.starts_with("/sign-")).unwrap_or("/campaigns")
}

#[derive(Default, Deserialize)]
struct SignInForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "people/sign_in.html")]
struct SignIn<'a> {
    email: &'a str,
    next: &'a str,
    message: Option<&'a str>,
}

#[get("/sign-in")]
async fn sign_in_page(req: HttpRequest, query: Query<Destination>) -> Result<HttpResponse, Problem> {
    match who_asks(&req) {
        Ok(_) => Ok(see_other(destination(&query.next))),
        Err(_) => page(SignIn { email: "", next: destination(&query.next), message: None }),
    }
}

#[post("/sign-in")]
async fn sign_in(
    app: Data<App>,
    req: HttpRequest,
    session: Session,
    form: Form<SignInForm>,
) -> Result<HttpResponse, Problem> {
    let next = destination(&form.next);
    let refuse = |status, message: &str| page_with(status, SignIn { email: &form.email, next, message: Some(message) });

    let browser = known::read(&req, &form.email);
    match prove(&app, &req, browser.as_deref(), &form.email, &form.password).await? {
        Proof::Right(user) => {
            stay_signed_in(&session, &user.as_person())?;
            known::remember(&req, &user.email, browser);
            tracing::info!(user.id = %user.id, "user {} signed in", user.id);
            Ok(see_other(next))
        }
        Proof::Wrong => refuse(StatusCode::UNPROCESSABLE_ENTITY, NO_MATCH),
        Proof::TooSoon { until } => refuse(StatusCode::TOO_MANY_REQUESTS, &try_again_in(until, app.clock.now())),
    }
}

#[post("/sign-out")]
async fn sign_out(app: Data<App>, req: HttpRequest, session: Session, htmx: Htmx) -> HttpResponse {
    if let Ok(person) = who_asks(&req) {
        let (id, now) = (person.id, app.clock.now());
        // They are signed out all the same.
        if let Err(error) = app.vital.run(move |conn| actions::sign_out(conn, id, now)).await {
            tracing::warn!("user {id} signed out, which the journal does not say: {error}");
        }
    }
    session.purge();
    htmx.leave_for("/sign-in")
}

/// Begins a session under a new key, so that a key somebody knew before is worth
/// nothing, and with nothing in it that somebody else may have left there.
fn stay_signed_in(session: &Session, person: &Person) -> Result<(), Problem> {
    session.clear();
    session.renew();
    session.insert(Person::IN_SESSION, person).map_err(|error| Problem::Unexpected(error.into()))
}

/// What became of an e-mail address and a password.
enum Proof {
    Right(User),
    Wrong,
    TooSoon { until: DateTime<Utc> },
}

/// How long a password waits to be looked at.
const PATIENCE: Duration = Duration::from_secs(5);

async fn prove(
    app: &App,
    req: &HttpRequest,
    browser: Option<&str>,
    email: &str,
    password: &str,
) -> Result<Proof, Problem> {
    let hashers = app.turns.hashers(browser.is_some());
    let (email, from, now) = (tidy_email(email), peer(req, &app.settings), app.clock.now());
    let peer = whose(browser, from.clone());
    let attempt = app.vital.run({
        let (email, peer) = (email.clone(), peer.clone());
        move |conn| actions::attempt(conn, &email, &peer, now)
    });
    let user = match attempt.await? {
        Attempt::TooSoon { until } => return Ok(Proof::TooSoon { until }),
        Attempt::Heard { user } => user,
    };

    // Looked at for unknown addresses too, so that the time it takes tells nothing.
    let (known, hash) = user.map(|(user, hash)| (user.id, hash)).unzip();
    let (hash, right) = {
        let Ok(Ok(_turn)) = timeout(PATIENCE, hashers.acquire()).await else { return Err(Problem::Busy) };
        let password = password.to_owned();
        tokio::task::spawn_blocking(move || (is_password(&password, hash.as_deref()), hash))
            .await
            .map(|(right, hash)| (hash, right))
            .map_err(|error| Problem::Unexpected(error.into()))?
    };
    let Some(hash) = hash.filter(|_| right) else {
        app.vital.run(move |conn| actions::turned_away(conn, known, &from, now)).await?;
        return Ok(Proof::Wrong);
    };
    let user = app.vital.run(move |conn| actions::welcome(conn, &email, &peer, &hash, now)).await?;
    Ok(user.map_or(Proof::Wrong, Proof::Right))
}

fn peer(req: &HttpRequest, settings: &Settings) -> String {
    caller(req, settings).map_or_else(|| "unknown".to_owned(), peer_of)
}

fn try_again_in(until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    // Rounded up: whoever comes back after the seconds shown gets in.
    match (until - now + TimeDelta::milliseconds(999)).num_seconds() {
        ..=1 => "Too many attempts. Try again in a second.".to_owned(),
        n => format!("Too many attempts. Try again in {n} seconds."),
    }
}

// Settings: people

#[derive(Template)]
#[template(path = "people/index.html")]
struct Index<'a> {
    frame: Frame,
    users: &'a [User],
}

#[get("/settings/people")]
async fn list(_may: May<Administer>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let users = app.db.run(store::list).await?;
    page(Index { frame, users: &users })
}

#[derive(Default, Deserialize)]
struct NewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    password: String,
}

impl NewForm {
    fn parse(&self) -> Result<NewUser, FieldErrors> {
        let mut errors = FieldErrors::default();
        let email = tidy_email(&self.email);
        if let Some(trouble) = name_trouble(&self.name) {
            errors.add("name", trouble);
        }
        if let Some(trouble) = email_trouble(&email) {
            errors.add("email", trouble);
        }
        if let Some(trouble) = password_trouble_of(&self.password, &email, &self.name) {
            errors.add("password", trouble);
        }
        let role = Role::of_word(&self.role);
        if role.is_none() {
            errors.add("role", "Choose a role.");
        }
        match role {
            Some(role) if errors.is_empty() => {
                Ok(NewUser { email, name: self.name.trim().to_owned(), role, password: self.password.clone() })
            }
            _ => Err(errors),
        }
    }
}

#[derive(Template)]
#[template(path = "people/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a NewForm,
    errors: &'a FieldErrors,
}

/// The roles to choose from, with what they are for.
fn roles() -> [(&'static str, &'static str); 4] {
    Role::ALL.map(|role| {
        let words = match role {
            Role::Viewer => "Viewer: looks at everything but people’s addresses",
            Role::Operator => {
                "Operator: uploads, pauses, resumes, answers people, blocks addresses, takes tables away, writes on sandbox phones"
            }
            Role::Manager => {
                "Manager: creates, edits, launches, stops one, takes addresses off the blocklist, changes filters"
            }
            Role::Admin => "Admin: stops everything, manages people and channels",
        };
        (role.word(), words)
    })
}

#[get("/settings/people/new")]
async fn new_page(_may: May<Administer>, frame: Frame) -> Result<HttpResponse, Problem> {
    let form = NewForm { role: Role::Viewer.word().to_owned(), ..NewForm::default() };
    page(New { frame, form: &form, errors: &FieldErrors::default() })
}

#[post("/settings/people")]
async fn add(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    say: Say,
    form: Form<NewForm>,
) -> Result<HttpResponse, Problem> {
    let again =
        |errors: FieldErrors| page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, form: &form, errors: &errors });

    let new = match form.parse() {
        Ok(new) => new,
        Err(errors) => return again(errors),
    };
    let (by, now) = (may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::add_user(conn, &new, by.into(), now)).await {
        Ok(_) => {
            say.that(format!("{} is added.", form.name.trim()));
            Ok(see_other("/settings/people"))
        }
        Err(DbError::Work(Error::Refused(Refused::EmailTaken))) => {
            let mut errors = FieldErrors::default();
            errors.add("email", Refused::EmailTaken.to_string());
            again(errors)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "people/show.html")]
struct Show<'a> {
    frame: Frame,
    user: &'a User,
    /// Name and e-mail address as typed.
    form: &'a WhoForm,
    zone: Tz,
    errors: &'a FieldErrors,
    /// Something was just changed that the page does not show by itself.
    changed: bool,
}

#[derive(Deserialize)]
struct Changed {
    #[serde(default)]
    changed: bool,
}

#[get("/settings/people/{id}")]
async fn show(
    _may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    id: Path<UserId>,
    query: Query<Changed>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let user = app.db.run(move |conn| store::find(conn, id)).await?;
    let zone = app.settings.time_zone;
    let form = WhoForm::of(&user);
    page(Show { frame, user: &user, form: &form, zone, errors: &FieldErrors::default(), changed: query.changed })
}

/// Who somebody is, as typed.
#[derive(Deserialize)]
struct WhoForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

impl WhoForm {
    fn of(user: &User) -> Self {
        WhoForm { name: user.name.clone(), email: user.email.clone() }
    }

    fn parse(&self) -> Result<(String, String), FieldErrors> {
        let mut errors = FieldErrors::default();
        let email = tidy_email(&self.email);
        if let Some(trouble) = name_trouble(&self.name) {
            errors.add("name", trouble);
        }
        if let Some(trouble) = email_trouble(&email) {
            errors.add("email", trouble);
        }
        if errors.is_empty() { Ok((self.name.trim().to_owned(), email)) } else { Err(errors) }
    }
}

#[post("/settings/people/{id}")]
async fn edit(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    id: Path<UserId>,
    form: Form<WhoForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let errors = match form.parse() {
        Err(errors) => errors,
        Ok((name, email)) => {
            let edited = move |conn: &mut _| actions::edit_user(conn, id, &name, &email, by.into(), now);
            match app.db.run(edited).await {
                Ok(()) => return Ok(see_other(format!("/settings/people/{id}"))),
                Err(DbError::Work(Error::Refused(Refused::EmailTaken))) => {
                    let mut errors = FieldErrors::default();
                    errors.add("email", Refused::EmailTaken.to_string());
                    errors
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let user = app.db.run(move |conn| store::find(conn, id)).await?;
    let zone = app.settings.time_zone;
    let again = Show { frame, user: &user, form: &form, zone, errors: &errors, changed: false };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
}

#[derive(Deserialize)]
struct PasswordForm {
    #[serde(default)]
    password: String,
}

#[post("/settings/people/{id}/password")]
async fn set_password(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    id: Path<UserId>,
    form: Form<PasswordForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    // One's own password is asked for before it is changed.
    if id == by {
        return Ok(see_other("/account"));
    }
    let user = app.db.run(move |conn| store::find(conn, id)).await?;
    if let Some(trouble) = password_trouble_of(&form.password, &user.email, &user.name) {
        let mut errors = FieldErrors::default();
        errors.add("password", trouble);
        let (zone, who) = (app.settings.time_zone, WhoForm::of(&user));
        let again = Show { frame, user: &user, form: &who, zone, errors: &errors, changed: false };
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, again);
    }
    let password = form.into_inner().password;
    app.db.run(move |conn| actions::set_password(conn, id, &password, by.into(), now)).await?;
    first_password::was_changed(&app).await;
    Ok(see_other(format!("/settings/people/{id}?changed=true")))
}

#[derive(Deserialize)]
struct RoleForm {
    #[serde(default)]
    role: String,
}

#[post("/settings/people/{id}/role")]
async fn set_role(
    may: May<Administer>,
    app: Data<App>,
    id: Path<UserId>,
    form: Form<RoleForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let role = Role::of_word(&form.role).ok_or_else(|| Problem::Invalid("Choose a role".to_owned()))?;
    app.db.run(move |conn| actions::set_role(conn, id, role, by.into(), now)).await?;
    Ok(see_other(format!("/settings/people/{id}")))
}

#[post("/settings/people/{id}/disable")]
async fn disable(may: May<Administer>, app: Data<App>, id: Path<UserId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::disable_user(conn, id, by.into(), now)).await?;
    Ok(see_other("/settings/people"))
}

#[post("/settings/people/{id}/enable")]
async fn enable(may: May<Administer>, app: Data<App>, id: Path<UserId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::enable_user(conn, id, by.into(), now)).await?;
    Ok(see_other("/settings/people"))
}

// One's own account

#[derive(Template)]
#[template(path = "people/account.html")]
struct Account<'a> {
    frame: Frame,
    errors: &'a FieldErrors,
    changed: bool,
}

#[get("/account")]
async fn account(_may: May<View>, frame: Frame, query: Query<Changed>) -> Result<HttpResponse, Problem> {
    page(Account { frame, errors: &FieldErrors::default(), changed: query.changed })
}

#[derive(Deserialize)]
struct OwnPasswordForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    password: String,
}

#[post("/account/password")]
async fn set_own_password(
    may: May<View>,
    frame: Frame,
    app: Data<App>,
    req: HttpRequest,
    session: Session,
    form: Form<OwnPasswordForm>,
) -> Result<HttpResponse, Problem> {
    let mut errors = FieldErrors::default();
    if let Some(trouble) = password_trouble_of(&form.password, &may.person.email, &may.person.name) {
        errors.add("password", trouble);
    } else {
        // Counted like signing in: an unlocked screen is no place to guess at leisure.
        let browser = known::read(&req, &may.person.email);
        match prove(&app, &req, browser.as_deref(), &may.person.email, &form.current).await? {
            Proof::Right(_) => {}
            Proof::Wrong => errors.add("current", "This is not your current password."),
            Proof::TooSoon { until } => errors.add("current", try_again_in(until, app.clock.now())),
        }
    }
    if !errors.is_empty() {
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, Account { frame, errors: &errors, changed: false });
    }
    let (id, now, password) = (may.person.id, app.clock.now(), form.into_inner().password);
    app.db.run(move |conn| actions::set_password(conn, id, &password, Actor::Person(id), now)).await?;
    first_password::was_changed(&app).await;
    // That ended all sessions, this one too.
    stay_signed_in(&session, &may.person)?;
    Ok(see_other("/account?changed=true"))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AlertsForm {
    alerts: String,
}

/// How somebody wants to hear that a person waits for them; chosen in the inbox.
#[post("/account/alerts")]
async fn set_own_alerts(may: May<View>, app: Data<App>, form: Form<AlertsForm>) -> Result<HttpResponse, Problem> {
    let (id, now) = (may.person.id, app.clock.now());
    let Some(alerts) = InboxAlerts::of_word(&form.alerts) else {
        return Err(Problem::Invalid("Choose one of the ways to be told that somebody waits.".to_owned()));
    };
    app.db.run(move |conn| actions::set_alerts(conn, id, alerts, now)).await?;
    Ok(see_other("/inbox"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_ours_only() {
        assert_eq!(destination("/campaigns?open=12"), "/campaigns?open=12");
        for elsewhere in ["", "https://evil.test/", "//evil.test", "/sign-out", "/sign-in?next=/sign-in"] {
            assert_eq!(destination(elsewhere), "/campaigns");
        }
    }

    #[test]
    fn the_wait_shown_is_never_too_short() {
        let now = "2026-07-02T09:15:00Z".parse().unwrap();
        let shown = |text: &str| try_again_in(text.parse().unwrap(), now);
        assert_eq!(shown("2026-07-02T09:15:00.5Z"), "Too many attempts. Try again in a second.");
        assert_eq!(shown("2026-07-02T09:15:04Z"), "Too many attempts. Try again in 4 seconds.");
        assert_eq!(shown("2026-07-02T09:15:04.001Z"), "Too many attempts. Try again in 5 seconds.");
    }
}
