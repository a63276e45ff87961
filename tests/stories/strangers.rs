//! Whoever knocks: bugs, slow bodies, slow questions and many of them keep nobody else out.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use actix_web::cookie::{Cookie, Key};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::test::{self, TestRequest};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpResponse, HttpServer};
use bugle::access::{Actor, Role};
use bugle::app::App;
use bugle::config::Settings;
use bugle::db::schema::sessions;
use bugle::ids::{ChannelId, UserId, VisitorId};
use bugle::people::actions::{add_user, set_role};
use bugle::people::domain::NewUser;
use bugle::people::store::{self as people, SessionId};
use bugle::screen::live::Hub;
use bugle::server;
use bugle::turns::{OF_ALL, Slow};
use bugle::webchat::domain::token;
use bugle::webchat::lobby::{self, Lobby};
use bugle::webchat::store;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use futures_util::{StreamExt, stream};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::mpsc::error::TryRecvError;

use crate::desk::{Desk, until};

const PASSWORD: &str = "correct horse battery";

fn person(desk: &Desk, email: &str, role: Role) -> UserId {
    let now = desk.app.clock.now();
    let new = NewUser { email: email.into(), name: email.into(), role, password: PASSWORD.into() };
    desk.db(|conn| add_user(conn, &new, Actor::Shell, now).unwrap())
}

/// The same house, set up otherwise.
fn with(desk: &Desk, settings: Settings) -> Data<App> {
    Data::new(App { settings, ..desk.app.get_ref().clone() })
}

async fn bug() -> HttpResponse {
    panic!("a bug in a handler")
}

#[actix_web::test]
async fn a_bug_in_a_handler_is_a_page_of_ours() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let house = with(&desk, Settings { pages: false, ..Settings::default() });
    let service = test::init_service(server::app(house, Key::from(&[7; 64])).route("/bug", web::get().to(bug))).await;

    for _ in 0..2 {
        let answer = test::try_call_service(&service, TestRequest::get().uri("/bug").to_request()).await;
        let answer =
            answer.map_or_else(|error| error.error_response(), |answer| answer.into_parts().1.map_into_boxed_body());
        assert_eq!(answer.status().as_u16(), 500);
        assert!(answer.headers().contains_key("content-security-policy"));
        let page = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        assert!(String::from_utf8_lossy(&page).contains("Something went wrong"));
    }
    let answer = test::call_service(&service, TestRequest::get().uri("/healthz").to_request()).await;
    assert_eq!(answer.status().as_u16(), 200);
}

/// A bot with a condition about a day, as somebody exported it.
fn with_a_day(day: &str) -> String {
    let steps = serde_json::json!([
        {"id": "ask", "name": "Ask", "do": "ask", "text": "When?", "otherwise": "bye",
         "accept": {"kind": "entity", "entity": "date"},
         "routes": [{"op": "before", "value": day, "to": "bye"}]},
        {"id": "bye", "name": "Bye", "do": "close", "text": "Goodbye"}]);
    serde_json::json!({"bugle_bot": 1, "name": "Day", "steps": steps}).to_string()
}

#[actix_web::test]
async fn a_typographic_dash_in_a_condition_leaves_the_editor_open() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    let made = desk.upload("/bots/import", "bot.json", with_a_day("today–3").as_bytes(), &[("name", "Dash")]).await;
    let path = made.location.unwrap_or_else(|| panic!("{}", made.html));
    desk.visit(&path).await.shows("Nothing is wrong with this bot.");
    let published = desk.fill_in(&format!("{path}/publish"), &[("revision", "1"), ("note", "")]).await;
    assert_eq!(published.status, 303, "{}", published.html);

    // What is no day says so at its step, and stays open to be put right.
    let made = desk.upload("/bots/import", "bot.json", with_a_day("today·3").as_bytes(), &[("name", "Dot")]).await;
    let path = made.location.unwrap();
    desk.visit(&path).await.shows("Write a day as 2026-03-31, today, today+3 or today-30.");
    assert_eq!(desk.fill_in(&format!("{path}/publish"), &[("revision", "1"), ("note", "")]).await.status, 409);
}

#[actix_web::test]
async fn a_body_that_trickles_in_is_not_waited_for() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let service = test::init_service(server::app(desk.app.clone(), Key::from(&[7; 64]))).await;
    for (path, kind) in
        [("/sign-in", "application/x-www-form-urlencoded"), ("/webhooks/1", "multipart/form-data; boundary=x")]
    {
        // As fast as a file may be slow: a stranger brings none.
        let drops = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, PayloadError>(Bytes::from_static(&[b'a'; 4096])), ()))
        });
        let request = TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", "same-origin"));
        let request = request.insert_header(("Content-Type", kind)).to_request();
        let (request, _) = request.replace_payload(Payload::Stream { payload: drops.boxed_local() });

        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let answer = test::call_service(&service, request).await;
        let took = began.elapsed();
        tokio::time::resume();

        assert_eq!(answer.status().as_u16(), 408, "{path}");
        assert!(took <= Duration::from_secs(11), "{path}: {took:?}");
        assert_eq!(answer.response().head().connection_type(), ConnectionType::Close);
        assert!(answer.headers().contains_key("content-security-policy"));
    }
}

/// Sends a body without an end until nobody takes it any more, for ten seconds at most. Returns how it was answered,
/// and why it ended.
fn goes_on_sending(to: SocketAddr, site: &str) -> (String, Result<(), ErrorKind>) {
    let mut stream = TcpStream::connect(to).unwrap();
    for sets in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        sets(&stream, Some(Duration::from_secs(10))).unwrap();
    }
    let head = format!(
        "POST /sign-in HTTP/1.1\r\nHost: {to}\r\nSec-Fetch-Site: {site}\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let piece = [b"10000\r\n", &[b'a'; 1 << 16][..], b"\r\n"].concat();
    stream.write_all(&[head.as_bytes(), &piece.repeat(8)].concat()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    let (mut ended, began) = (Ok(()), Instant::now());
    while ended.is_ok() && began.elapsed() < Duration::from_secs(10) {
        ended = stream.write_all(&piece).map_err(|error| error.kind());
    }
    (String::from_utf8_lossy(&answer).into_owned(), ended)
}

#[actix_web::test]
async fn what_a_stranger_goes_on_sending_after_the_answer_is_not_read() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let (to, app) = (port.local_addr().unwrap(), desk.app.clone());
    let house = HttpServer::new(move || server::app(app.clone(), Key::from(&[7; 64]))).workers(1).disable_signals();
    let house = house.listen(port).unwrap().run();
    let handle = house.handle();
    actix_web::rt::spawn(house);

    for (site, answer) in [("cross-site", "HTTP/1.1 403"), ("same-origin", "HTTP/1.1 422")] {
        let (answered, ended) = tokio::task::spawn_blocking(move || goes_on_sending(to, site)).await.unwrap();
        assert_eq!(answered, answer);
        let is_closed = matches!(ended, Err(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
        assert!(is_closed, "after {answer}: {ended:?}");
    }
    handle.stop(false).await;
}

/// A list of whoever has `city` Cork, and `n` contacts of whom two do.
async fn cork(desk: &Desk, n: usize) -> String {
    desk.sql(&format!(
        "INSERT INTO contacts (kind, address, \"values\")
         SELECT 'sms', '35386123' || lpad(n::text, 4, '0'), jsonb_build_object('city', CASE WHEN n <= 2 THEN 'Cork' ELSE 'Sligo' END)
         FROM generate_series(1, {n}) n"
    ));
    let fields = [
        ("name", "Cork"),
        ("kind", "sms"),
        ("field-0", "value:city"),
        ("op-0", "is"),
        ("value-0", "Cork"),
        ("do", "save"),
    ];
    let made = desk.fill_in("/lists/new/filter", &fields).await;
    made.location.unwrap_or_else(|| panic!("{}", made.html))
}

#[actix_web::test]
async fn whoever_has_two_slow_questions_under_way_waits_and_nobody_else_does() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, ..) = desk.campaign("Spring", 2, "09:00-10:00", 60.0).await;
    let list = cork(&desk, 3).await;
    let count = format!("{list}/count");
    let ben = person(&desk, "ben@example.org", Role::Viewer);
    let ben_in = desk.sign_in("ben@example.org", PASSWORD).await;
    let asks = async |cookie: &Cookie<'static>| desk.send(TestRequest::get().uri(&count).cookie(cookie.clone())).await;

    let held: Vec<_> = (0..2).filter_map(|_| desk.app.turns.take(Slow::Question, desk.admin)).collect();
    let refused = desk.peek(&count).await;
    assert_eq!(refused.status, 429);
    refused.shows("Too many slow questions at once");
    for path in ["/inbox?q=a", "/contacts?q=a", "/blocklist?q=a", "/campaigns?q=a", list.as_str(), "/runs/1"] {
        assert_eq!(desk.visit(path).await.status, 429, "{path}");
    }
    assert_eq!(desk.visit("/contacts.csv").await.status, 200, "a table has places of its own");
    assert_eq!(desk.visit("/campaigns").await.status, 200);
    assert_eq!(desk.visit("/stop").await.status, 200);
    assert_eq!(desk.submit(&format!("/campaigns/{campaign}/pause")).await.status, 303);
    assert_eq!(asks(&ben_in).await.html, "2 contacts");

    drop(held);
    assert_eq!(desk.visit(&count).await.html, "2 contacts");
    // Over all there are not many either.
    let held: Vec<_> = (0..OF_ALL as i64).map(|n| desk.app.turns.take(Slow::Question, UserId(1000 + n))).collect();
    assert!(held.iter().all(Option::is_some));
    assert_eq!(asks(&ben_in).await.status, 429, "{ben}");
}

#[actix_web::test]
async fn a_question_that_nobody_waits_for_any_more_keeps_its_place_until_it_is_answered() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let list = cork(&desk, 3).await;
    let is_free = || {
        let held: Vec<_> = (0..2).map(|_| desk.app.turns.take(Slow::Question, desk.admin)).collect();
        held.iter().all(Option::is_some)
    };
    let mut other = PgConnection::establish(&desk.url).unwrap();
    other.batch_execute("BEGIN; LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE").unwrap();
    let waits = || {
        desk.number("SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 1
    };

    let path = format!("{list}/count");
    tokio::select! {
        _ = desk.visit(&path) => panic!("contacts are locked"),
        () = until("the question waits for its answer", waits) => {}
    }
    // The browser is gone.
    assert!(!is_free());
    other.batch_execute("COMMIT").unwrap();
    until("the place is given back", is_free).await;
}

#[actix_web::test]
async fn a_table_has_a_place_while_it_is_taken_away() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    cork(&desk, 9000).await;
    let take = || desk.app.turns.take(Slow::Table, desk.admin);
    let free = || {
        let held = [take(), take()];
        held.iter().all(Option::is_some)
    };
    let held = [take(), take()];
    assert_eq!(desk.visit("/contacts.csv").await.status, 429, "two are under way");
    drop(held);

    // Its head is here, and nobody has read further yet.
    let service = test::init_service(server::app(desk.app.clone(), Key::from(&[7; 64]))).await;
    let request = TestRequest::get().uri("/contacts.csv").cookie(desk.cookie().clone());
    let table = test::call_service(&service, request.to_request()).await;
    assert_eq!((table.status().as_u16(), free()), (200, false));

    let table = test::read_body(table).await;
    assert_eq!(String::from_utf8_lossy(&table).lines().count(), 9001);
    until("its place is given back", free).await;
}

#[actix_web::test]
async fn the_count_of_a_filter_is_kept_for_a_while_and_says_of_when() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let list = cork(&desk, 3).await;
    let count = format!("{list}/count");
    let index = desk.visit("/lists").await;
    index.shows(&format!("hx-get=\"{count}\" hx-trigger=\"revealed\" hx-sync=\"closest table:queue all\""));

    assert_eq!(desk.visit(&count).await.html, "2 contacts");
    desk.sql("UPDATE contacts SET \"values\" = '{\"city\": \"Cork\"}'");
    desk.later(600);
    assert_eq!(desk.visit(&count).await.html, "2 contacts");
    let index = desk.visit("/lists").await;
    index.shows("2 contacts <small class=\"muted\">at 09:00</small>");
    index.lacks(&format!("hx-get=\"{count}\""));

    desk.later(1);
    desk.visit("/lists").await.shows(&format!("hx-get=\"{count}\""));
    assert_eq!(desk.visit(&count).await.html, "3 contacts");
    let changed = [("field-0", "value:city"), ("op-0", "is"), ("value-0", "Sligo"), ("do", "save")];
    assert_eq!(desk.fill_in(&format!("{list}/filter"), &changed).await.status, 303);
    assert_eq!(desk.visit(&count).await.html, "0 contacts", "of another filter");
}

#[actix_web::test]
async fn a_trial_has_its_measure() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let made = desk.upload("/bots/import", "bot.json", with_a_day("today").as_bytes(), &[("name", "Day")]).await;
    let path = format!("{}/try", made.location.unwrap());
    let values = |n: usize| (0..n).map(|n| format!("f{n} = {n}")).collect::<Vec<_>>().join("\n");

    let fits = desk.fill_in(&path, &[("values", &values(200)), ("press", "restart")]).await;
    let many = desk.fill_in(&path, &[("values", &values(201)), ("press", "restart")]).await;
    let long = desk.fill_in(&path, &[("values", &format!("a = {}", "x".repeat(16 << 10))), ("press", "restart")]).await;

    assert_eq!((fits.status, many.status, long.status), (200, 422, 422));
    many.shows("Give 200 values at most, and 16 KB of text.");
    let text = "#word ".repeat(4000);
    assert_eq!(desk.fill_in_with_htmx("/wording/measure", &[("body", &text)]).await.status, 422);
}

#[actix_web::test]
async fn a_session_ends_after_a_week_however_much_it_is_used() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for half_day in 1..=14 {
        desk.later(12 * 3600 - 60 - half_day);
        assert_eq!(desk.visit("/account").await.status, 200, "after {half_day} half days");
    }
    desk.at("2026-03-09 08:59");
    assert_eq!(desk.visit("/account").await.status, 200);
    desk.at("2026-03-09 09:00");
    assert_eq!(desk.visit("/account").await.status, 303);
    assert_eq!(desk.db(|conn| people::sweep(conn, desk.app.clock.now()).unwrap()), 1, "and it is swept away");
}

#[actix_web::test]
async fn a_page_that_asks_by_itself_keeps_no_session_alive() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let cookie = desk.sign_in("admin@example.org", "admin password").await;
    let poll = async || {
        let poll = TestRequest::get().uri("/inbox").cookie(cookie.clone());
        desk.send(poll.insert_header(("HX-Request", "true")).insert_header(("Bugle-Poll", "1"))).await.status
    };
    for path in ["/inbox", "/phones"] {
        desk.visit(path).await.shows("hx-headers='{\"Bugle-Poll\":\"1\"}'");
    }

    desk.at("2026-03-02 20:59");
    assert_eq!(poll().await, 200);
    // A page that watches comes back by itself as well.
    let watch = TestRequest::get().uri("/campaigns/live?ids=1").cookie(cookie.clone());
    assert_eq!(desk.send(watch).await.status, 404, "this desk has no streams");
    desk.at("2026-03-02 21:00");
    assert_eq!(poll().await, 401);
}

#[actix_web::test]
async fn a_stream_ends_with_the_session_of_whoever_watches() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ben = person(&desk, "ben@example.org", Role::Viewer);
    let hub = Hub::new(desk.app.clone());
    let session = |user: UserId| {
        let of_user = sessions::table.filter(sessions::user_id.eq(user.0)).select(sessions::key_hash);
        desk.db(|conn| SessionId(of_user.first(conn).unwrap()))
    };
    desk.sign_in("ben@example.org", PASSWORD).await;
    let (mine, bens) = (Some(session(desk.admin)), Some(session(ben)));
    let mut my = hub.watch((desk.admin, mine), HashMap::new()).unwrap();
    let mut his = hub.watch((ben, bens), HashMap::new()).unwrap();

    hub.part().await.unwrap();
    assert!(my.try_recv().is_err_and(|error| error == TryRecvError::Empty));
    assert!(his.try_recv().is_err_and(|error| error == TryRecvError::Empty));

    desk.submit(&format!("/settings/people/{ben}/disable")).await;
    hub.part().await.unwrap();
    assert!(his.try_recv().is_err_and(|error| error == TryRecvError::Disconnected), "disabled");
    assert!(my.try_recv().is_err_and(|error| error == TryRecvError::Empty));
    desk.submit("/sign-out").await;
    hub.part().await.unwrap();
    assert!(my.try_recv().is_err_and(|error| error == TryRecvError::Disconnected), "signed out");
}

#[actix_web::test]
async fn a_stream_ends_with_a_session_that_is_over_whatever_ended_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let hub = Hub::new(desk.app.clone());
    for over in [
        "UPDATE sessions SET expires_at = '2026-03-02 09:00Z'",
        "UPDATE sessions SET begun_at = '2026-02-23 09:00Z'",
        // Begun while its person was being disabled.
        "UPDATE users SET disabled_at = '2026-03-02 09:00Z' WHERE email LIKE 'ben%'",
    ] {
        desk.sql("DELETE FROM sessions");
        let n = desk.number("SELECT count(*) AS n FROM users");
        let ben = person(&desk, &format!("ben{n}@example.org"), Role::Viewer);
        desk.sign_in(&format!("ben{n}@example.org"), PASSWORD).await;
        let session = SessionId(desk.db(|conn| sessions::table.select(sessions::key_hash).first(conn).unwrap()));
        let mut stream = hub.watch((ben, Some(session)), HashMap::new()).unwrap();
        hub.part().await.unwrap();
        assert!(stream.try_recv().is_err_and(|error| error == TryRecvError::Empty), "before {over}");
        desk.sql(over);
        hub.part().await.unwrap();
        assert!(stream.try_recv().is_err_and(|error| error == TryRecvError::Disconnected), "after {over}");
    }
}

#[actix_web::test]
async fn nobody_has_streams_without_end() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (lobby, hub) = (Lobby::new(desk.app.clone()), Hub::new(desk.app.clone()));
    let enter = |visitor, from: Option<&str>| lobby.enter(VisitorId(visitor), 0, from.map(str::to_owned));

    let one: Vec<_> = (0..280).filter_map(|visitor| enter(visitor, Some("192.0.2.1"))).collect();
    assert_eq!(one.len(), 50);
    assert!(enter(1000, Some("192.0.2.2")).is_some());
    let many: Vec<_> = (0..3000).filter_map(|visitor| enter(visitor, None)).collect();
    assert_eq!(one.len() + many.len(), 2000);
    drop(many);
    assert!(enter(1000, Some("192.0.2.2")).is_some());

    let watch = |person| hub.watch((UserId(person), None), HashMap::new());
    let one: Vec<_> = (0..1500).filter_map(|_| watch(1)).collect();
    assert_eq!(one.len(), 200);
    assert!(watch(2).is_some());
    hub.limit_to(201);
    let held = watch(3);
    assert!(held.is_some() && watch(4).is_none());
}

#[actix_web::test]
async fn an_admin_changes_roles_but_not_their_own_and_new_people_may_only_look() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let ben = person(&desk, "ben@example.org", Role::Admin);
    let set = async |id: UserId, role: &str| {
        desk.fill_in(&format!("/settings/people/{id}/role"), &[("role", role)]).await.status
    };

    desk.visit("/settings/people/new").await.shows("<option value=\"viewer\" selected>");
    for (password, says) in [
        ("password12", "one of the first"),
        ("grace@example.org", "made of the name"),
        ("1111111111", "more different"),
    ] {
        let form = [("name", "Grace"), ("email", "grace@example.org"), ("role", "viewer"), ("password", password)];
        let answer = desk.fill_in("/settings/people", &form).await;
        assert_eq!(answer.status, 422, "{password}");
        answer.shows(says);
    }
    assert_eq!(set(desk.admin, "viewer").await, 409, "not even while there is another admin");
    assert_eq!(set(ben, "operator").await, 303);
    desk.visit(&format!("/settings/people/{ben}")).await.shows("<option value=\"operator\" selected>");
    assert_eq!(set(ben, "owner").await, 422);
    assert_eq!(set(desk.admin, "viewer").await, 409);
    let last = desk.db(|conn| set_role(conn, desk.admin, Role::Viewer, Actor::Shell, desk.app.clock.now()));
    assert_eq!(last.unwrap_err().to_string(), "This is the last admin. Without one, nobody could manage people.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'user.role_changed'"), 1);
}

#[actix_web::test]
async fn impossible_times_in_addresses_are_nobodys_bug() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for micros in ["8000000000000000000", "-8000000000000000000", "253402300800000000", "-1", "x"] {
        assert_eq!(desk.visit(&format!("/inbox?after=w{micros}.1")).await.status, 200, "{micros}");
    }
    for day in ["-262143-01-01", "+262142-12-31", "1969-12-31", "0000-01-01"] {
        assert_eq!(desk.submit(&format!("/settings/blackouts/{day}/remove")).await.status, 404, "{day}");
        assert_eq!(desk.visit(&format!("/calendar/{day}")).await.status, 404, "{day}");
    }
}

#[actix_web::test]
async fn a_name_that_somebody_lets_lead_here_is_not_ours() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.number(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
        VALUES ('Shop', 'webchat', 'webchat', 'Bugle', 's3cret', now()) RETURNING id AS n",
    );
    let sends = async |path: &str, host: &'static str| {
        let request = TestRequest::post()
            .uri(path)
            .insert_header(("Host", host))
            .insert_header(("Origin", format!("http://{host}")));
        desk.send(request.set_form([("email", "admin@example.org"), ("password", "wrong password")])).await
    };
    let rebound = sends("/sign-in", "rebound.test").await;
    assert_eq!(rebound.status, 421);
    rebound.shows("Start it with --public-url");
    assert_eq!(sends(&format!("/webchat/{channel}/visitors"), "rebound.test").await.status, 421);
    assert_eq!(sends("/sign-in", "127.0.0.1:8080").await.status, 422);
    assert_eq!(sends(&format!("/webchat/{channel}/visitors"), "127.0.0.1:8080").await.status, 201);

    desk.later(1);
    let cookie = desk.sign_in("admin@example.org", "admin password").await;
    let page = TestRequest::get().uri(&format!("/channels/{channel}")).cookie(cookie);
    let page = page.insert_header(("Host", "evil.test")).insert_header(("X-Forwarded-Host", "evil.test"));
    desk.send(page.insert_header(("Forwarded", "host=evil.test"))).await.lacks("evil.test");
}

#[actix_web::test]
async fn measures_are_for_this_machine_unless_said_otherwise() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let recorder = PrometheusBuilder::new().build_recorder();
    let asks = async |open_metrics: bool, peer: &str, more: &[(&'static str, &'static str)]| {
        let house = with(&desk, Settings { open_metrics, ..Settings::default() });
        let app = server::app(house, Key::from(&[7; 64])).app_data(Data::new(Some(recorder.handle())));
        let service = test::init_service(app).await;
        let request = TestRequest::get().uri("/metrics").peer_addr(peer.parse().unwrap());
        let request = more.iter().fold(request, |request, header| request.insert_header(*header));
        test::call_service(&service, request.to_request()).await.status().as_u16()
    };
    let local = ("Host", "127.0.0.1:8080");
    assert_eq!(asks(false, "127.0.0.1:1", &[local]).await, 200);
    assert_eq!(asks(false, "192.0.2.1:1", &[local]).await, 404);
    assert_eq!(asks(false, "127.0.0.1:1", &[local, ("X-Forwarded-For", "192.0.2.1")]).await, 404);
    assert_eq!(asks(false, "127.0.0.1:1", &[("Host", "rebound.test")]).await, 404);
    assert_eq!(asks(true, "192.0.2.1:1", &[local]).await, 200);
}

#[actix_web::test]
async fn visitors_who_never_say_a_word_are_forgotten_after_a_day() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
        VALUES ('Shop', 'webchat', 'webchat', 'Bugle', 's3cret', now())",
    );
    desk.sql(
        "INSERT INTO webchat_visitors (channel_id, address, last_seq, created_at, seen_at)
        SELECT (SELECT max(id) FROM channels), 'visitor-' || n, n % 2, '2026-03-02 09:00Z', '2026-03-02 09:00Z'
        FROM generate_series(1, 10) n",
    );
    let left = || desk.number("SELECT count(*) AS n FROM webchat_visitors");

    desk.later(24 * 3600);
    lobby::sweep(&desk.app).await.unwrap();
    assert_eq!(left(), 10);
    desk.later(1);
    lobby::sweep(&desk.app).await.unwrap();
    assert_eq!((left(), desk.number("SELECT count(*) AS n FROM webchat_visitors WHERE last_seq = 0")), (5, 0));
}

#[actix_web::test]
async fn a_visitor_with_a_long_history_holds_up_nobody() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
        VALUES ('Shop', 'webchat', 'webchat', 'Bugle', 's3cret', now())",
    );
    desk.sql("INSERT INTO webchat_visitors (channel_id, address, last_seq, created_at, seen_at)
        SELECT (SELECT max(id) FROM channels), 'visitor-' || n, CASE n WHEN 1 THEN 3000 ELSE 1 END, now(), now() FROM generate_series(1, 2) n");
    desk.sql(
        "INSERT INTO webchat_messages (visitor_id, seq, direction, client_id, body, at)
        SELECT v.id, k, 'in', k::text, 'hello', now() FROM webchat_visitors v, generate_series(1, v.last_seq) k",
    );
    let (long, short) = (
        VisitorId(desk.number("SELECT min(id) AS n FROM webchat_visitors")),
        VisitorId(desk.number("SELECT max(id) AS n FROM webchat_visitors")),
    );

    let missed = desk.db(|conn| store::missed(conn, &[(long, 0), (short, 0)], 2000).unwrap());
    assert_eq!((missed[&long].len(), missed[&short].len()), (100, 1));
    assert_eq!((missed[&long][0].seq, missed[&long][99].seq), (1, 100));
    let next = desk.db(|conn| store::missed(conn, &[(long, 2950)], 2000).unwrap());
    assert_eq!((next[&long].len(), next[&long][49].seq), (50, 3000));
}

#[actix_web::test]
async fn the_page_of_another_site_may_read_why_it_was_refused() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.number("INSERT INTO channels (name, kind, provider, sender, secret, settings, created_at)
        VALUES ('Shop', 'webchat', 'webchat', 'Bugle', 's3cret', '{\"origins\": [\"https://shop.example\"]}', now()) RETURNING id AS n");
    let visitor = desk.db(|conn| store::insert(conn, ChannelId(channel), "visitor-1", desk.app.clock.now()).unwrap());
    let token = token("s3cret", ChannelId(channel), visitor, desk.app.clock.now());
    let asks = async |request: TestRequest| {
        let request = request.insert_header(("Origin", "https://shop.example"));
        let answer = desk.send(request.insert_header(("Authorization", format!("Bearer {token}")))).await;
        assert_eq!(answer.headers.get("access-control-allow-origin").unwrap(), "https://shop.example");
        answer.status
    };
    let door = format!("/webchat/{channel}/messages");
    assert_eq!(asks(TestRequest::post().uri(&door).set_payload(vec![b'x'; 300 << 10])).await, 413);
    assert_eq!(asks(TestRequest::get().uri(&format!("{door}?after=x"))).await, 422);
}
