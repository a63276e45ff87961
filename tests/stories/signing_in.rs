//! Signing in, staying in, and being out.

use actix_web::cookie::{Cookie, Key};
use actix_web::dev::ServiceResponse;
use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use bugle::access::{Actor, Role};
use bugle::app::App;
use bugle::config::Settings;
use bugle::db::schema::{journal, sessions, users};
use bugle::ids::UserId;
use bugle::people::actions::{self, add_user};
use bugle::people::domain::NewUser;
use bugle::people::store;
use bugle::server;
use diesel::prelude::*;

use crate::desk::{Desk, instant};

pub const PASSWORD: &str = "correct horse battery";
const NO_MATCH: &str = "That e-mail address and password do not go together.";

/// Somebody's browser: it has its own cookie, and sends what browsers send.
struct Browser<'a> {
    desk: &'a Desk,
    session: Option<Cookie<'static>>,
    /// Says that somebody has signed in here before.
    known: Option<Cookie<'static>>,
}

struct Seen {
    status: u16,
    location: Option<String>,
    html: String,
    set_cookie: Option<String>,
    known: Option<Cookie<'static>>,
}

impl<'a> Browser<'a> {
    fn at(desk: &'a Desk) -> Self {
        Browser { desk, session: None, known: None }
    }

    /// A browser in which `email` has just signed in.
    async fn of(desk: &'a Desk, email: &str) -> Self {
        let mut browser = Browser::at(desk);
        assert_eq!(browser.sign_in(email, PASSWORD).await.status, 303);
        browser
    }

    /// A browser that somebody put this one's cookie into.
    fn stolen(&self) -> Self {
        Browser { desk: self.desk, session: self.session.clone(), known: None }
    }

    async fn visit(&mut self, path: &str) -> Seen {
        self.send(TestRequest::get().uri(path)).await
    }

    async fn fill_in(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.send(TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", "same-origin")).set_form(fields)).await
    }

    async fn sign_in(&mut self, email: &str, password: &str) -> Seen {
        self.fill_in("/sign-in", &[("email", email), ("password", password)]).await
    }

    async fn is_in(&mut self) -> bool {
        self.visit("/account").await.status == 200
    }

    async fn send(&mut self, request: TestRequest) -> Seen {
        let cookies = self.session.iter().chain(&self.known);
        let request = cookies.fold(request, |request, cookie| request.cookie(cookie.clone()));
        let service = test::init_service(server::app(self.desk.app.clone(), Key::from(&[7; 64]))).await;
        let response: ServiceResponse<_> = test::call_service(&service, request.to_request()).await;
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, location, set_cookie) = (response.status().as_u16(), header("location"), header("set-cookie"));
        let cookies: Vec<_> = response.response().cookies().map(Cookie::into_owned).collect();
        let (known, session): (Vec<_>, Vec<_>) = cookies.into_iter().partition(|cookie| cookie.name() == "bugle-known");
        self.session = session.into_iter().next().or(self.session.take());
        let known = known.into_iter().next();
        self.known = known.clone().or(self.known.take());
        let html = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        Seen { status, location, html, set_cookie, known }
    }
}

pub fn person(desk: &Desk, email: &str, role: Role) -> UserId {
    let now = desk.app.clock.now();
    let new = NewUser { email: email.into(), name: format!("{email} here"), role, password: PASSWORD.into() };
    desk.db(|conn| add_user(conn, &new, Actor::Shell, now).unwrap())
}

fn n_sessions(conn: &mut PgConnection, id: UserId) -> i64 {
    sessions::table.filter(sessions::user_id.eq(id.0)).count().get_result(conn).unwrap()
}

fn set_clock(desk: &Desk, time: &str) {
    desk.app.clock.set(instant(time));
}

#[actix_web::test]
async fn a_stranger_signs_in_and_comes_back_to_the_page_they_wanted() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::at(&desk);

    let turned_away = browser.visit("/account?changed=true").await;
    let page = browser.visit(&turned_away.location.clone().unwrap()).await;
    let next = "/account?changed=true";
    let answer =
        browser.fill_in("/sign-in", &[("email", " Ada@Example.org "), ("password", PASSWORD), ("next", next)]).await;

    assert_eq!(turned_away.status, 303);
    assert_eq!(turned_away.location.as_deref(), Some("/sign-in?next=%2Faccount%3Fchanged%3Dtrue"));
    assert!(page.html.contains(r#"name="next" value="/account?changed=true""#));
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some(next)));
    assert!(browser.visit("/account").await.html.contains("ada@example.org here"));
}

#[actix_web::test]
async fn htmx_is_told_to_leave_for_the_sign_in_page() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let request = TestRequest::get()
        .uri("/account")
        .insert_header(("HX-Request", "true"))
        .insert_header(("HX-Current-URL", "http://bugle.test/settings/people"));

    let service = test::init_service(server::app(desk.app.clone(), Key::from(&[7; 64]))).await;
    let response = test::call_service(&service, request.to_request()).await;

    assert_eq!(response.status().as_u16(), 401);
    assert_eq!(response.headers().get("hx-redirect").unwrap(), "/sign-in?next=%2Fsettings%2Fpeople");
}

#[actix_web::test]
async fn a_wrong_password_an_unknown_address_and_a_disabled_person_get_the_same_answer() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let now = desk.app.clock.now();
    person(&desk, "ada@example.org", Role::Admin);
    let gone = person(&desk, "gone@example.org", Role::Admin);
    desk.db(|conn| actions::disable_user(conn, gone, Actor::Shell, now).unwrap());
    let mut browser = Browser::at(&desk);

    let mut answers = Vec::new();
    for (email, password) in
        [("ada@example.org", "wrong password"), ("who@example.org", PASSWORD), ("gone@example.org", PASSWORD)]
    {
        let answer = browser.sign_in(email, password).await;
        assert!(answer.html.contains(&format!("value=\"{email}\"")), "what was typed is kept");
        assert!(!answer.html.contains(password));
        answers.push((answer.status, answer.set_cookie, answer.html.replace(email, "")));
    }

    assert_eq!(answers[0].0, 422);
    assert!(answers[0].2.contains(NO_MATCH));
    assert_eq!(answers[1], answers[0]);
    assert_eq!(answers[2], answers[0]);
}

#[actix_web::test]
async fn each_failure_doubles_the_wait_whether_or_not_the_address_exists() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let mut browser = Browser::at(&desk);

    for email in ["ada@example.org", "who@example.org"] {
        for second in [0, 1, 3, 7, 15] {
            set_clock(&desk, &format!("2026-03-02 09:00:{second:02}"));
            assert_eq!(browser.sign_in(email, "wrong password").await.status, 422);
            assert_eq!(browser.sign_in(email, "wrong password").await.status, 429);
        }
    }
    set_clock(&desk, "2026-03-02 09:00:30");
    let too_soon = browser.sign_in("ada@example.org", PASSWORD).await;
    let stranger = browser.sign_in("who@example.org", PASSWORD).await;
    set_clock(&desk, "2026-03-02 09:00:31");
    let after = browser.sign_in("ada@example.org", PASSWORD).await;

    assert_eq!(too_soon.status, 429);
    assert!(too_soon.html.contains("Too many attempts. Try again in a second."), "{}", too_soon.html);
    assert_eq!(stranger.html.replace("who@", "ada@"), too_soon.html);
    assert_eq!(after.status, 303);
}

#[actix_web::test]
async fn signing_in_forgets_the_failures_before_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let mut browser = Browser::at(&desk);

    for _ in 0..3 {
        for wait in [1, 2, 4, 8] {
            assert_eq!(browser.sign_in("ada@example.org", "wrong password").await.status, 422);
            desk.later(wait);
        }
        assert_eq!(browser.sign_in("ada@example.org", PASSWORD).await.status, 303);
    }
}

#[actix_web::test]
async fn guesses_made_side_by_side_are_all_counted() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);

    let guesses = (0..12).map(|_| async {
        let mut browser = Browser::at(&desk);
        browser.sign_in("ada@example.org", "wrong password").await.status
    });
    let answers = futures_util::future::join_all(guesses).await;

    assert_eq!(answers.iter().filter(|status| **status == 422).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 11);
}

#[actix_web::test]
async fn a_password_that_is_replaced_while_it_is_looked_at_does_not_get_in() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let now = desk.app.clock.now();
    let ada = person(&desk, "ada@example.org", Role::Admin);
    let attempt = desk.db(|conn| actions::attempt(conn, "ada@example.org", "192.0.2.1", now).unwrap());
    let actions::Attempt::Heard { user: Some((_, hash)) } = attempt else { panic!("{attempt:?}") };

    desk.db(|conn| actions::set_password(conn, ada, "another long password", Actor::Shell, now).unwrap());

    assert_eq!(desk.db(|conn| actions::welcome(conn, "ada@example.org", "192.0.2.1", &hash, now).unwrap()), None);
}

#[actix_web::test]
async fn what_time_made_meaningless_is_swept_away() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ada = person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    browser.stolen().sign_in("who@example.org", PASSWORD).await;

    let sweep = |time: &str| desk.db(|conn| store::sweep(conn, instant(time)).unwrap());

    assert_eq!(sweep("2026-03-02 09:59"), 0);
    assert_eq!(sweep("2026-03-02 10:00"), 1);
    assert!(browser.is_in().await);
    assert_eq!(sweep("2026-03-02 21:00"), 2, "Ada's session and that of the desk");
    assert_eq!(desk.db(|conn| n_sessions(conn, ada)), 0);
}

#[actix_web::test]
async fn failures_of_others_in_a_network_keep_nobody_out() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let attempt = |email: &str, peer: &'static str| {
        let now = desk.app.clock.now();
        desk.db(|conn| actions::attempt(conn, email, peer, now).unwrap())
    };

    for n in 0..60 {
        assert!(matches!(attempt(&format!("{n}@example.org"), "192.0.2.1"), actions::Attempt::Heard { .. }));
    }

    assert!(matches!(attempt("ada@example.org", "192.0.2.1"), actions::Attempt::Heard { .. }));
    assert!(matches!(attempt("ada@example.org", "192.0.2.1"), actions::Attempt::TooSoon { .. }));
    assert!(matches!(attempt("ada@example.org", "192.0.2.2"), actions::Attempt::Heard { .. }), "another network");
}

#[actix_web::test]
async fn nobody_keeps_an_admin_out_of_a_browser_that_is_known() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let mut known = Browser::of(&desk, "ada@example.org").await;
    known.fill_in("/sign-out", &[]).await;
    let mut stranger = Browser::at(&desk);

    for _ in 0..20 {
        stranger.sign_in("ada@example.org", "wrong password").await;
        desk.later(300);
        stranger.sign_in("ada@example.org", "wrong password").await;
    }
    assert_eq!(stranger.sign_in("ada@example.org", PASSWORD).await.status, 429);
    assert_eq!(known.sign_in("ada@example.org", PASSWORD).await.status, 303);

    // It opens nothing by itself, belongs to one address, and is no place to guess at leisure.
    let mut known = Browser { session: None, ..known };
    assert!(!known.is_in().await);
    assert_eq!(known.sign_in("ada@example.org", "wrong password").await.status, 422);
    assert_eq!(known.sign_in("ada@example.org", PASSWORD).await.status, 429);
    let forged = known.known.as_ref().map(|cookie| Cookie::new("bugle-known", format!("{}0", cookie.value())));
    let mut forger = Browser { known: forged, ..known };
    assert_eq!(forger.sign_in("ada@example.org", PASSWORD).await.status, 429);
    assert!(forger.sign_in("who@example.org", PASSWORD).await.known.is_none());
}

#[actix_web::test]
async fn a_browser_is_known_for_the_address_that_signed_in_there_and_for_no_other() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    person(&desk, "ben@example.org", Role::Admin);
    let mut adas = Browser::of(&desk, "ada@example.org").await;
    adas.fill_in("/sign-out", &[]).await;
    let mut adas = Browser { session: None, ..adas };

    assert_eq!(Browser::at(&desk).sign_in("ben@example.org", "wrong password").await.status, 422);
    assert_eq!(adas.sign_in("ben@example.org", PASSWORD).await.status, 429);
    assert_eq!(adas.sign_in("ada@example.org", PASSWORD).await.status, 303);
}

#[actix_web::test]
async fn a_crowd_of_strangers_does_not_stand_before_a_browser_that_is_known() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let mut known = Browser::of(&desk, "ada@example.org").await;
    known.fill_in("/sign-out", &[]).await;

    let heard = std::cell::Cell::new(0);
    let crowd = futures_util::future::join_all((0..30).map(|n| {
        let (desk, heard) = (&desk, &heard);
        async move {
            Browser::at(desk).sign_in(&format!("{n}@example.org"), "wrong password").await;
            heard.set(heard.get() + 1);
        }
    }));
    let (_, before) = futures_util::join!(crowd, async {
        assert_eq!(known.sign_in("ada@example.org", PASSWORD).await.status, 303);
        heard.get()
    });
    assert!(before < 20, "{before} strangers were heard before");
}

#[actix_web::test]
async fn a_disabled_person_is_out_at_once_and_stays_out_when_enabled_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ada = person(&desk, "ada@example.org", Role::Operator);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    assert!(browser.is_in().await);

    assert_eq!(desk.fill_in(&format!("/settings/people/{ada}/disable"), &[]).await.status, 303);

    assert!(!browser.is_in().await);
    assert_eq!(desk.db(|conn| n_sessions(conn, ada)), 0);
    assert_eq!(browser.stolen().sign_in("ada@example.org", PASSWORD).await.status, 422);
    assert_eq!(desk.fill_in(&format!("/settings/people/{ada}/enable"), &[]).await.status, 303);
    assert!(!browser.is_in().await);
    assert_eq!(browser.sign_in("ada@example.org", PASSWORD).await.status, 303);
}

#[actix_web::test]
async fn a_session_that_began_while_its_person_was_disabled_is_void() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let now = desk.app.clock.now();
    let ada = person(&desk, "ada@example.org", Role::Operator);
    let mut browser = Browser::of(&desk, "ada@example.org").await;

    // As if the session had been written a moment after `disable_user` ended the others.
    desk.db(|conn| store::set_disabled_at(conn, ada, Some(now)).unwrap());

    assert!(!browser.is_in().await);
}

#[actix_web::test]
async fn signing_out_makes_a_stolen_cookie_worthless() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Operator);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    let mut thief = browser.stolen();
    assert!(thief.is_in().await);

    let answer = browser.fill_in("/sign-out", &[]).await;

    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/sign-in")));
    assert!(!thief.is_in().await);
}

#[actix_web::test]
async fn signing_in_gives_a_new_key_and_ends_the_one_before() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "mallory@example.org", Role::Viewer);
    person(&desk, "ada@example.org", Role::Admin);
    let mut planted = Browser::of(&desk, "mallory@example.org").await;
    let mut victim = planted.stolen();

    assert_eq!(victim.sign_in("ada@example.org", PASSWORD).await.status, 303);

    assert!(victim.is_in().await);
    assert!(!planted.is_in().await);
}

#[actix_web::test]
async fn the_cookie_is_kept_from_scripts_and_other_sites_and_the_key_from_the_database() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let mut browser = Browser::at(&desk);

    let cookie = browser.sign_in("ada@example.org", PASSWORD).await.set_cookie.unwrap();

    assert!(cookie.starts_with("bugle="));
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{attribute} in {cookie}");
    }
    let stored: Vec<(Vec<u8>, serde_json::Value)> =
        desk.db(|conn| sessions::table.select((sessions::key_hash, sessions::state)).load(conn).unwrap());
    for (key_hash, state) in stored {
        assert_eq!(key_hash.len(), 32);
        assert_eq!(state, serde_json::json!({}));
    }
}

#[actix_web::test]
async fn over_tls_the_cookie_is_bound_to_this_host_and_to_tls() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Admin);
    let settings = Settings { secure_cookies: true, ..Settings::default() };
    let app = Data::new(App { settings, ..desk.app.get_ref().clone() });
    let request = TestRequest::post()
        .uri("/sign-in")
        .insert_header(("Sec-Fetch-Site", "same-origin"))
        .set_form([("email", "ada@example.org"), ("password", PASSWORD)]);

    let service = test::init_service(server::app(app, Key::from(&[7; 64]))).await;
    let response = test::call_service(&service, request.to_request()).await;

    let cookie = response.headers().get("set-cookie").unwrap().to_str().unwrap();
    assert!(cookie.starts_with("__Host-bugle=") && cookie.contains("Secure"), "{cookie}");
    assert!(response.headers().contains_key("strict-transport-security"));
}

#[actix_web::test]
async fn a_session_ends_after_twelve_hours_without_a_request() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;

    set_clock(&desk, "2026-03-02 20:59");
    assert!(browser.is_in().await);
    set_clock(&desk, "2026-03-03 08:58");
    assert!(browser.is_in().await);
    set_clock(&desk, "2026-03-03 20:58");
    assert!(!browser.is_in().await);
}

#[actix_web::test]
async fn a_session_that_was_ended_is_not_brought_back_by_a_request_still_under_way() {
    use actix_session::storage::{SessionKey, SessionStore};
    use actix_web::cookie::time::Duration;
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let store = store::PgSessions::new(desk.app.clone());
    let (state, ttl) = (std::collections::HashMap::from([("a".to_owned(), "1".to_owned())]), Duration::hours(12));
    let key = store.save(state.clone(), &ttl).await.unwrap();
    let same = || SessionKey::try_from(key.as_ref().to_owned()).unwrap();
    assert_eq!(store.load(&key).await.unwrap(), Some(state.clone()));

    store.delete(&key).await.unwrap();
    let after = store.update(same(), state, &ttl).await.unwrap();

    assert_eq!(store.load(&after).await.unwrap(), None);
    assert_eq!(store.load(&key).await.unwrap(), None);
}

#[actix_web::test]
async fn a_request_that_another_site_made_changes_nothing() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;

    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.test"),
        ("X-No", "1"),
    ] {
        let answer = browser.send(TestRequest::post().uri("/sign-out").insert_header((name, value))).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
        assert!(answer.html.contains("This request came from another site"));
    }

    assert!(browser.is_in().await);
}

#[actix_web::test]
async fn only_an_admin_manages_people_and_a_new_role_holds_at_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ada = person(&desk, "ada@example.org", Role::Viewer);
    let victim = person(&desk, "bob@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    let disable = format!("/settings/people/{victim}/disable");

    for role in [Role::Viewer, Role::Operator, Role::Manager] {
        desk.db(|conn| {
            diesel::update(users::table.find(ada.0)).set(users::role.eq(role.word())).execute(conn).unwrap()
        });
        assert_eq!(browser.visit("/settings/people").await.status, 403);
        assert_eq!(browser.fill_in(&disable, &[]).await.status, 403);
    }
    assert_eq!(desk.db(|conn| store::find(conn, victim).unwrap()).disabled_at, None);

    desk.db(|conn| diesel::update(users::table.find(ada.0)).set(users::role.eq("admin")).execute(conn).unwrap());
    assert_eq!(browser.fill_in(&disable, &[]).await.status, 303);
    assert!(desk.db(|conn| store::find(conn, victim).unwrap()).disabled_at.is_some());
}

#[actix_web::test]
async fn an_admin_changes_who_somebody_is() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ada = person(&desk, "ada@example.org", Role::Viewer);
    person(&desk, "bob@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    let path = format!("/settings/people/{ada}");
    assert_eq!(browser.fill_in(&path, &[("name", "Me"), ("email", "me@example.org")]).await.status, 403);

    for (name, email, says) in [
        ("", "ada@example.org", "Enter a name."),
        ("Ada Byron", "nobody", "Enter an e-mail address"),
        ("Ada Byron", "BOB@example.org", "Somebody with this e-mail address is here already."),
    ] {
        let again = desk.fill_in(&path, &[("name", name), ("email", email)]).await;
        assert_eq!(again.status, 422);
        again.shows(says);
        again.shows(&format!(r#"value="{email}""#));
    }
    let saved = desk.fill_in(&path, &[("name", "Ada Byron"), ("email", " Byron@example.org ")]).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    assert!(browser.visit("/account").await.html.contains("Ada Byron"));
    let mut other = Browser::at(&desk);
    assert_eq!(other.sign_in("ada@example.org", PASSWORD).await.status, 422);
    desk.later(60);
    assert_eq!(other.sign_in("byron@example.org", PASSWORD).await.status, 303);
    let noted = "SELECT was || ' → ' || became AS line FROM journal WHERE happened = 'user.edited'";
    let lines = desk.lines(noted);
    assert!(lines.len() == 1 && lines[0].ends_with("<ada@example.org> → Ada Byron <byron@example.org>"), "{lines:?}");
    desk.fill_in(&path, &[("name", "Ada Byron"), ("email", "byron@example.org")]).await;
    assert_eq!(desk.lines(noted).len(), 1, "saved as it was, nothing has happened");
    desk.visit("/settings/people/new").await.shows(r#"<option value="viewer" selected>"#);
}

#[actix_web::test]
async fn the_last_admin_stays_one_and_a_new_role_is_there_with_the_next_click() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ada = person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    let role = |id: &str, role: &'static str| (format!("/settings/people/{id}/role"), [("role", role)]);
    let (own, viewer) = role(&desk.admin.to_string(), "viewer");
    let refused = desk.fill_in(&own, &viewer).await;
    assert_eq!(refused.status, 409);
    assert_eq!(desk.submit(&format!("/settings/people/{}/disable", desk.admin)).await.status, 409);

    assert_eq!(browser.visit("/files/new").await.status, 403);
    let (hers, operator) = role(&ada.to_string(), "operator");
    assert_eq!(desk.fill_in(&hers, &operator).await.status, 303);
    assert_eq!(browser.visit("/files/new").await.status, 200);
    let noted = "SELECT was || ' → ' || became AS line FROM journal WHERE happened = 'user.role_changed'";
    assert_eq!(desk.lines(noted), ["viewer → operator"]);
}

#[actix_web::test]
async fn every_answer_carries_the_headers_that_make_browsers_careful() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    for path in ["/sign-in", "/account", "/no-such-page", "/healthz", "/static/no-such-file"] {
        let answer = desk.visit(path).await;
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let policy = header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    }
    let refused = desk.visit_as_stranger("/account").await;
    assert!(refused.headers.contains_key("content-security-policy"));
}

#[actix_web::test]
async fn our_own_files_may_be_kept() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let kept = async |path: &str| {
        let answer = desk.visit_as_stranger(path).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.headers.get("cache-control").unwrap().to_str().unwrap().to_owned()
    };

    assert_eq!(kept("/static/css/base.css").await, "public, max-age=3600");
    assert_eq!(kept("/static/vendor/htmx-2.0.11.js").await, "public, max-age=31536000, immutable");
}

#[actix_web::test]
async fn machines_learn_whether_we_are_well() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    assert_eq!(desk.visit_as_stranger("/healthz").await.status, 200);
    assert_eq!(desk.visit_as_stranger("/readyz").await.status, 200);
    assert_eq!(desk.visit_as_stranger("/metrics").await.status, 404);
}

#[actix_web::test]
async fn an_address_nobody_wrote_a_page_for_says_so() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    let answer = desk.visit("/no-such-page").await;

    assert_eq!(answer.status, 404);
    assert!(answer.html.contains("Not found"));
    assert_eq!(desk.visit("/").await.location.as_deref(), Some("/campaigns"));
}

#[actix_web::test]
async fn an_admin_adds_somebody_who_can_then_sign_in() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let form =
        |password| [("name", "Grace"), ("email", "Grace@example.org"), ("role", "manager"), ("password", password)];

    let short = desk.fill_in("/settings/people", &form("short")).await;
    let added = desk.fill_in("/settings/people", &form(PASSWORD)).await;
    let again = desk.fill_in("/settings/people", &form(PASSWORD)).await;

    assert_eq!(short.status, 422);
    assert!(short.html.contains("Use 10 characters or more.") && short.html.contains(r#"value="Grace""#));
    assert_eq!(added.status, 303);
    assert_eq!(again.status, 422);
    assert!(again.html.contains("Somebody with this e-mail address is here already."));
    assert!(desk.visit("/settings/people").await.html.contains("grace@example.org"));
    assert!(Browser::of(&desk, "grace@example.org").await.is_in().await);
}

#[actix_web::test]
async fn an_admin_cannot_lock_the_door_from_the_outside() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let now = desk.app.clock.now();
    let ada = person(&desk, "ada@example.org", Role::Admin);
    let mut browser = Browser::of(&desk, "ada@example.org").await;

    let oneself = browser.fill_in(&format!("/settings/people/{ada}/disable"), &[]).await;
    let admins = desk.db(|conn| store::lock_enabled_admins(conn).unwrap());
    let refusals = desk.db(|conn| {
        let disable =
            |id: &UserId| actions::disable_user(conn, *id, Actor::Shell, now).err().map(|error| error.to_string());
        admins.iter().map(disable).collect::<Vec<_>>()
    });

    assert_eq!(oneself.status, 409);
    assert!(oneself.html.contains("You cannot disable yourself."));
    let (last, others) = refusals.split_last().unwrap();
    assert!(others.iter().all(Option::is_none));
    assert_eq!(last.as_deref(), Some("This is the last admin. Without one, nobody could manage people."));
}

#[actix_web::test]
async fn changing_ones_password_signs_out_everywhere_else() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;
    let mut elsewhere = Browser::of(&desk, "ada@example.org").await;
    let new = "another long password";

    let guessed = browser.fill_in("/account/password", &[("current", "wrong password"), ("password", new)]).await;
    assert!(elsewhere.is_in().await);
    desk.later(1);
    let changed = browser.fill_in("/account/password", &[("current", PASSWORD), ("password", new)]).await;

    assert_eq!(guessed.status, 422);
    assert!(guessed.html.contains("This is not your current password."));
    assert_eq!(changed.status, 303);
    assert!(browser.is_in().await);
    assert!(!elsewhere.is_in().await);
    assert_eq!(elsewhere.sign_in("ada@example.org", PASSWORD).await.status, 422);
    desk.later(1);
    assert_eq!(elsewhere.sign_in("ada@example.org", new).await.status, 303);
}

#[actix_web::test]
async fn an_admin_gives_somebody_another_password_and_it_is_written_down() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ada = person(&desk, "ada@example.org", Role::Viewer);
    let mut browser = Browser::of(&desk, "ada@example.org").await;

    let answer =
        desk.fill_in(&format!("/settings/people/{ada}/password"), &[("password", "a password from the admin")]).await;

    assert_eq!(answer.location, Some(format!("/settings/people/{ada}?changed=true")));
    assert!(!browser.is_in().await);
    assert_eq!(browser.sign_in("ada@example.org", "a password from the admin").await.status, 303);
    let happened: Vec<(String, Option<i64>)> = desk.db(|conn| {
        let about_ada = journal::table
            .filter(journal::subject_id.eq(ada.0))
            .filter(journal::happened.not_like("user.sign%"))
            .order(journal::id);
        about_ada.select((journal::happened, journal::user_id)).load(conn).unwrap()
    });
    assert_eq!(happened[0], ("user.added".to_owned(), None));
    assert_eq!(happened[1].0, "user.password_changed");
    assert!(happened[1].1.is_some_and(|by| by != ada.0));
}
