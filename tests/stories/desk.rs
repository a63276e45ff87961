//! An office: an app with a database of its own, a clock set by hand, and a
//! carrier that counts.

use std::fs;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::cookie::{Cookie, Key};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::HeaderMap;
use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use bugle::access::{Actor, Role};
use bugle::app::App;
use bugle::campaigns::{CampaignKind, store};
use bugle::clock::Clock;
use bugle::config::Settings;
use bugle::db::embedded::{Durability, Private};
use bugle::db::{self, Db, Purpose};
use bugle::deliveries::counts::{counts_of, outcomes};
use bugle::deliveries::ledger::{self, LedgerAsk, LedgerEntry};
use bugle::deliveries::{CountChange, Counts, Outcome, OutcomeGroup, Show, Word};
use bugle::engine::Engine;
use bugle::engine::dispatcher::Dispatcher;
use bugle::engine::{importer, starter};
use bugle::files::upload;
use bugle::ids::{CampaignId, ChannelId, FileId, RunId, ScheduleId, UserId};
use bugle::keyring::Keyring;
use bugle::marks::Marks;
use bugle::pacing::LatePolicy;
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;
use bugle::providers::Providers;
use bugle::providers::sandbox::Knobs;
use bugle::sandbox::carrier;
use bugle::schedules::{Draft, When};
use bugle::{drafting, server};
use chrono::{DateTime, NaiveTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
use futures_util::future::LocalBoxFuture;
use tokio::sync::OnceCell;

/// One cluster per test run; it dies with the process.
static SERVER: LazyLock<Private> = LazyLock::new(|| {
    let dir = std::env::temp_dir();
    for old in fs::read_dir(&dir).unwrap().flatten() {
        let name = old.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("bugle-stories-").and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)) {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    bugle::files::workbook::read_with(env!("CARGO_BIN_EXE_bugle"));
    Private::start(&dir.join(format!("bugle-stories-{}", std::process::id())), Durability::None).unwrap()
});

/// Migrated once; every story starts from a copy of it. Also the turn for copying:
/// a template that somebody is copying cannot be copied by another.
static TEMPLATE: LazyLock<Mutex<&'static str>> = LazyLock::new(|| {
    SERVER.create_database("template_desk").unwrap();
    db::migrate(&SERVER.url("template_desk")).unwrap();
    let mut conn = PgConnection::establish(&SERVER.url("template_desk")).unwrap();
    conn.batch_execute(include_str!("must_be_noted.sql")).unwrap();
    Mutex::new("template_desk")
});

/// A new database with nothing in it, and how Bugle gets there.
pub fn empty_database(name: &str) -> String {
    SERVER.create_database(name).unwrap();
    SERVER.url(name)
}

/// A connection to the same database that may do everything.
pub fn keeper_of(name: &str) -> PgConnection {
    PgConnection::establish(&SERVER.keeper_url(name)).unwrap()
}

/// Signs session cookies in stories.
const KEY: [u8; 64] = [7; 64];

pub struct Desk {
    pub app: Data<App>,
    pub engine: Engine,
    pub admin: UserId,
    pub channel: ChannelId,
    pub url: String,
    cookie: Cookie<'static>,
    service: OnceCell<FrontDoor>,
}

pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub html: String,
    pub headers: HeaderMap,
}

impl Answer {
    #[track_caller]
    pub fn shows(&self, text: &str) {
        let plain = self.html.replace("&#34;", "\"").replace("&#39;", "'").replace("&#38;", "&");
        assert!(plain.contains(text), "no {text:?} in:\n{}", self.html);
    }

    #[track_caller]
    pub fn lacks(&self, text: &str) {
        assert!(!self.html.contains(text), "{text:?} in:\n{}", self.html);
    }
}

/// All that we answer. Made once for each desk: it takes longer than most requests.
type FrontDoor = Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, ServiceResponse<BoxBody>>>;

async fn front_door(app: Data<App>) -> FrontDoor {
    let service = Rc::new(test::init_service(server::app(app, Key::from(&KEY))).await);
    Box::new(move |request| {
        let service = service.clone();
        Box::pin(async move { test::call_service(&*service, request.to_request()).await.map_into_boxed_body() })
    })
}

/// What the carrier knows of one message.
#[derive(Clone, Debug, QueryableByName)]
pub struct Received {
    #[diesel(sql_type = Text)]
    pub phone: String,
    #[diesel(sql_type = Text)]
    pub part: String,
    #[diesel(sql_type = Text)]
    pub body: String,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
}

/// A carrier without latency whose receipts are due at once.
pub fn prompt() -> Knobs {
    Knobs { latency_ms: 0, latency_to_ms: 0, receipt_ms: 0, silence_ms: 0, ..Knobs::default() }
}

impl Desk {
    pub async fn open_at(time: &str) -> Desk {
        static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let name = format!("desk_{}", N.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        {
            let template = TEMPLATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let mut server = PgConnection::establish(&SERVER.keeper_url("postgres")).unwrap();
            let copy = format!("CREATE DATABASE {name} TEMPLATE {template} OWNER bugle");
            diesel::sql_query(copy).execute(&mut server).unwrap();
        }
        Desk::open_on(SERVER.url(&name), time).await
    }

    /// On a database that is up to date and empty.
    pub async fn open_on(url: String, time: &str) -> Desk {
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::ERROR).try_init();
        let app = app_at(&url, Clock::stopped_at(instant(time)));
        let now = app.clock.now();
        let conn = &mut app.db.lend().unwrap();
        let new = NewUser {
            email: "admin@example.org".into(),
            name: "Ada".into(),
            role: Role::Admin,
            password: "admin password".into(),
        };
        let admin = add_user(conn, &new, Actor::Shell, now).unwrap();
        bugle::channels::actions::ensure_channel(conn, now).unwrap();
        let channel = One::get(conn, "SELECT id AS n FROM channels");
        let mut desk = Desk {
            engine: Engine::new(app.clone()),
            app: app.clone(),
            admin,
            channel: ChannelId(channel),
            url,
            cookie: Cookie::new("none", ""),
            service: OnceCell::new(),
        };
        desk.carrier(&prompt());
        desk.cookie = desk.sign_in("admin@example.org", "admin password").await;
        desk
    }

    /// Another person's browser, signed in.
    pub async fn sign_in(&self, email: &str, password: &str) -> Cookie<'static> {
        let request = TestRequest::post().uri("/sign-in").insert_header(("Sec-Fetch-Site", "same-origin"));
        let service = self.service.get_or_init(async || front_door(self.app.clone()).await).await;
        let request = request.set_form([("email", email), ("password", password)]);
        let response = service(request).await;
        response.response().cookies().next().expect("signed in").into_owned()
    }

    /// The browser of whoever sits at this desk.
    pub fn cookie(&self) -> &Cookie<'static> {
        &self.cookie
    }

    // ---- time and the engine ----

    pub fn at(&self, time: &str) {
        self.app.clock.set(instant(time));
    }

    /// Another day: whoever sits at this desk signs in again.
    pub async fn comes_back_at(&mut self, time: &str) {
        self.at(time);
        self.cookie = self.sign_in("admin@example.org", "admin password").await;
    }

    pub fn later(&self, seconds: i64) {
        self.app.clock.set(self.app.clock.now() + chrono::TimeDelta::seconds(seconds));
    }

    /// One turn of everything that moves by itself.
    pub async fn tick(&self) {
        self.engine.turn().await.unwrap();
    }

    /// Lets conversations go on until nothing is left to do, and gives up what nobody will send.
    pub async fn talk(&self) {
        self.engine.talk().await.unwrap();
    }

    /// Claims and sends what is due, and waits for it to settle.
    pub async fn dispatch(&self) -> usize {
        self.engine.dispatch().await.unwrap()
    }

    /// Ticks once a second until `time`, as the metronome does.
    pub async fn run_until(&self, time: &str) {
        while self.app.clock.now() < instant(time) {
            self.later(1);
            self.tick().await;
        }
    }

    /// The engine of another process on the same database.
    pub fn another_engine(&self) -> Arc<Dispatcher> {
        Dispatcher::new(app_at(&self.url, self.app.clock.clone()), Arc::default())
    }

    /// Another process on the same database, which remembers nothing yet.
    pub fn another_process(&self) -> Data<App> {
        app_at(&self.url, self.app.clock.clone())
    }

    /// The same process with new connections, which remembers what it did; what it had on the wire is forgotten.
    pub fn reconnects(&mut self) {
        let marks = self.app.marks.clone();
        self.goes_on_as(marks);
    }

    /// From here on this desk is served by a process that remembers this.
    pub fn goes_on_as(&mut self, marks: Arc<Marks>) {
        let mut app = app_parts(&self.url, self.app.clock.clone());
        app.marks = marks;
        self.app = Data::new(app);
        self.engine = Engine::new(self.app.clone());
        self.service = OnceCell::new();
    }

    /// From here on its channels send through these.
    pub fn sends_through(&mut self, providers: Providers) {
        self.app = Data::new(App { providers, ..App::clone(&self.app) });
        self.engine = Engine::new(self.app.clone());
        self.service = OnceCell::new();
    }

    /// From here on providers are told that they find us there.
    pub fn is_public_at(&mut self, url: &str) {
        let app = app_parts(&self.url, self.app.clock.clone());
        let settings = Settings { public_url: Some(url.to_owned()), ..app.settings };
        let books = Db::connect(&self.url, 4).unwrap();
        let providers = carrier::providers(&books, &books, &app.clock, &settings);
        self.app = Data::new(App { settings, providers, ..app });
        self.engine = Engine::new(self.app.clone());
        self.service = OnceCell::new();
    }

    /// Sets how the carrier behaves from now on.
    pub fn carrier(&self, knobs: &Knobs) {
        let (settings, channel) = (serde_json::to_value(knobs).unwrap(), self.channel.0);
        self.db(|conn| {
            use bugle::db::schema::channels;
            diesel::update(channels::table.find(channel)).set(channels::settings.eq(settings)).execute(conn).unwrap()
        });
    }

    // ---- arranging ----

    /// From now on the person at this desk may do only so much.
    pub fn gives_the_admin_the_role(&self, role: Role) {
        self.sql(&format!("UPDATE users SET role = '{}' WHERE id = {}", role.word(), self.admin));
    }

    pub fn db<T>(&self, work: impl FnOnce(&mut PgConnection) -> T) -> T {
        let mut conn = self.app.db.lend().unwrap();
        conn.batch_execute("SET application_name = 'a story'").unwrap();
        let done = work(&mut conn);
        conn.batch_execute("SET application_name = 'bugle pages'").unwrap();
        done
    }

    pub fn sql(&self, sql: &str) -> usize {
        self.db(|conn| diesel::sql_query(sql).execute(conn).unwrap())
    }

    /// An imported file with these numbers; each contact has a `name` and a `balance`.
    pub fn file(&self, addresses: &[String]) -> FileId {
        let (admin, now) = (self.admin.0, self.app.clock.now());
        self.db(|conn| {
            let id = One::get(
                conn,
                &format!(
                    "INSERT INTO files (name, size_bytes, sha256, format, headers, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
                     VALUES ('people.csv', 1, '', 'csv', '[\"phone\", \"name\", \"balance\"]', '[]', 'imported', {0}, {0}, {admin}, '{now}', '{now}')
                     RETURNING id AS n",
                    addresses.len()
                ),
            );
            diesel::sql_query(
                "INSERT INTO contacts (kind, address) SELECT 'sms', unnest($1::text[]) ON CONFLICT DO NOTHING",
            )
            .bind::<Array<Text>, _>(addresses)
            .execute(conn)
            .unwrap();
            diesel::sql_query(
                "INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, \"values\")
                 SELECT $1, u.n, u.n + 1, c.id, c.address, 'C' || u.n, jsonb_build_object('name', 'Name' || u.n, 'balance', u.n::text)
                 FROM unnest($2::text[]) WITH ORDINALITY AS u (address, n) JOIN contacts c ON c.kind = 'sms' AND c.address = u.address",
            )
            .bind::<BigInt, _>(id)
            .bind::<Array<Text>, _>(addresses)
            .execute(conn)
            .unwrap();
            FileId(id)
        })
    }

    /// A launched campaign with `n` well-behaved phones, today between the times of `window` ("09:00-10:00", UTC).
    pub async fn campaign(&self, name: &str, n: usize, window: &str, rate: f64) -> (CampaignId, ScheduleId, RunId) {
        self.campaign_to(name, &phones(n), window, rate, LatePolicy::CatchUp).await
    }

    pub async fn campaign_to(
        &self,
        name: &str,
        addresses: &[String],
        window: &str,
        rate: f64,
        late: LatePolicy,
    ) -> (CampaignId, ScheduleId, RunId) {
        self.campaign_of(name, self.file(addresses), window, rate, late).await
    }

    /// The same to an imported file.
    pub async fn campaign_of(
        &self,
        name: &str,
        file: FileId,
        window: &str,
        rate: f64,
        late: LatePolicy,
    ) -> (CampaignId, ScheduleId, RunId) {
        let now = self.app.clock.now();
        let (start, end) = window.split_once('-').unwrap();
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        let body = "Hello #name, you owe #balance|nothing#.";
        let plan = Draft::once("Main", self.channel, body, now.date_naive(), time(start), time(end), rate);
        let plan = Draft { late, ..plan };
        let (campaign, schedule) = self.db(|conn| {
            let campaign =
                drafting::actions::create(conn, name, CampaignKind::OnceOff, chrono_tz::UTC, self.admin, now).unwrap();
            drafting::actions::set_file(conn, campaign, Some(file), self.admin, now).unwrap();
            let schedule = drafting::actions::add_schedule(conn, campaign, &plan, self.admin, now).unwrap();
            drafting::actions::launch(conn, campaign, self.admin, now).unwrap();
            (campaign, schedule)
        });
        starter::tick(&self.app).await.unwrap();
        (campaign, schedule, self.run_of(schedule))
    }

    /// A launched daily campaign in Dublin whose file, with the columns `phone`, `name` and `balance`, is
    /// expected from Monday to Friday between 08:00 and 11:00. Each of the `schedules` is a name, its
    /// window ("09:00-10:00"), its rate and the value of `city` that it serves, if any; with one that
    /// does, the file also has that column.
    pub async fn daily(
        &self,
        name: &str,
        expected_name: &str,
        schedules: &[(&str, &str, f64, Option<&str>)],
    ) -> (CampaignId, Vec<ScheduleId>) {
        let campaign = self.daily_draft(name, expected_name, schedules).await;
        let now = self.app.clock.now();
        let schedules = self.db(|conn| {
            drafting::actions::launch(conn, campaign, self.admin, now).unwrap();
            bugle::schedules::store::of_campaigns(conn, &[campaign]).unwrap()
        });
        (campaign, schedules.into_iter().map(|schedule| schedule.id).collect())
    }

    /// The same, not launched yet.
    pub async fn daily_draft(
        &self,
        name: &str,
        expected_name: &str,
        schedules: &[(&str, &str, f64, Option<&str>)],
    ) -> CampaignId {
        use bugle::daily::domain::DailyPlan;
        use bugle::files::domain::{Mapping, Use};
        use bugle::providers::Kind;
        let grouped = schedules.iter().any(|(.., group)| group.is_some());
        let mut columns = vec!["phone", "name", "balance"];
        columns.extend(grouped.then_some("city"));
        let sample = format!("{}\n+12025550100,Sample,1{}\n", columns.join(","), if grouped { ",Cork" } else { "" });
        let now = self.app.clock.now();
        let file =
            upload::receive_bytes(&self.app, "sample.csv", sample.as_bytes(), Kind::Sms, self.admin, now).unwrap();
        let meaning = |column: &&str| match *column {
            "phone" => Use::ChannelId,
            field => Use::Data { field: field.to_owned() },
        };
        let mapping = Mapping { columns: columns.iter().map(meaning).collect() };
        self.db(|conn| {
            let none = bugle::contacts::addresses::TwoWays::LeaveOut;
            bugle::files::actions::import(conn, file, mapping, String::new(), none, self.admin, now).unwrap();
        });
        importer::tick(&self.app).await.unwrap();
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        self.db(|conn| {
            let zone = chrono_tz::Europe::Dublin;
            let campaign = drafting::actions::create(conn, name, CampaignKind::Daily, zone, self.admin, now).unwrap();
            drafting::actions::set_file(conn, campaign, Some(file), self.admin, now).unwrap();
            drafting::actions::set_group_by(conn, campaign, grouped.then_some("city"), self.admin, now).unwrap();
            let plan = DailyPlan {
                opens: time("08:00"),
                closes: time("11:00"),
                days: bugle::pacing::Days::WEEKDAYS,
                expected_name: expected_name.to_owned(),
            };
            bugle::daily::actions::set_plan(conn, campaign, &plan, self.admin, now).unwrap();
            for (name, window, rate, group) in schedules {
                let (start, end) = window.split_once('-').unwrap();
                let body = "Hello #name, you owe #balance|nothing#.";
                let plan = Draft::once(name, self.channel, body, now.date_naive(), time(start), time(end), *rate);
                let plan = Draft { when: When::Daily, group: group.map(str::to_owned), ..plan };
                drafting::actions::add_schedule(conn, campaign, &plan, self.admin, now).unwrap();
            }
            campaign
        })
    }

    /// Drops a file into a daily campaign, with htmx; it is imported if it is let in.
    pub async fn drops(&self, campaign: CampaignId, name: &str, rows: &str) -> Answer {
        let answer = self.upload_with_htmx(&format!("/campaigns/{campaign}/drops"), name, rows.as_bytes()).await;
        importer::tick(&self.app).await.unwrap();
        answer
    }

    pub fn run_of(&self, schedule: ScheduleId) -> RunId {
        RunId(self.number(&format!("SELECT id AS n FROM schedule_runs WHERE schedule_id = {schedule}")))
    }

    // ---- asking ----

    /// A query that answers with one number, called `n`.
    pub fn number(&self, sql: &str) -> i64 {
        self.db(|conn| One::get(conn, sql))
    }

    /// The word in the `state` column of a row.
    pub fn state(&self, table: &str, id: i64) -> String {
        #[derive(QueryableByName)]
        struct State {
            #[diesel(sql_type = Text)]
            state: String,
        }
        let sql = format!("SELECT state FROM {table} WHERE id = {id}");
        self.db(|conn| diesel::sql_query(sql).get_result::<State>(conn).unwrap().state)
    }

    pub fn campaign_state(&self, id: CampaignId) -> String {
        let state = self.db(|conn| store::find(conn, id).unwrap().state);
        state.word().to_owned()
    }

    /// What reached phones, in the order in which it did.
    pub fn received(&self) -> Vec<Received> {
        let sql = "SELECT phone, part, body, at FROM sandbox_messages WHERE part IS NOT NULL ORDER BY id";
        self.db(|conn| diesel::sql_query(sql).load(conn).unwrap())
    }

    /// How many names the text of a run may use.
    pub fn n_fields(&self, run: RunId) -> usize {
        self.db(|conn| bugle::runs::store::find(conn, run).unwrap().fields.len())
    }

    pub fn counts(&self, run: RunId) -> Counts {
        self.db(|conn| bugle::deliveries::counts::counts_of(conn, run).unwrap())
    }

    /// The rows of a run that are shown so.
    pub fn ledger(&self, run: RunId, show: Show) -> Vec<LedgerEntry> {
        let ask = LedgerAsk { show, ..LedgerAsk::default() };
        self.db(|conn| ledger::entries(conn, run, &ask, i32::MAX, 10_000).unwrap())
    }

    // ---- browsing ----

    pub async fn visit(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path).cookie(self.cookie.clone())).await
    }

    /// Goes where an answer leads, as a browser does.
    pub async fn lands(&self, answer: Answer) -> Answer {
        assert_eq!(answer.status, 303, "{}", answer.html);
        self.visit(answer.location.as_deref().unwrap()).await
    }

    pub async fn visit_as_stranger(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    /// Fetches a fragment as htmx does.
    pub async fn peek(&self, path: &str) -> Answer {
        let request = TestRequest::get().uri(path).insert_header(("HX-Request", "true"));
        self.send(request.cookie(self.cookie.clone())).await
    }

    /// Presses a button with htmx.
    pub async fn press(&self, path: &str) -> Answer {
        let request = post(path).insert_header(("HX-Request", "true"));
        self.send(request.cookie(self.cookie.clone())).await
    }

    /// Presses a button without scripts.
    pub async fn submit(&self, path: &str) -> Answer {
        self.fill_in(path, &[]).await
    }

    /// Sends a form without scripts.
    pub async fn fill_in(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(post(path).set_form(fields).cookie(self.cookie.clone())).await
    }

    /// Sends a form with htmx.
    pub async fn fill_in_with_htmx(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = post(path).insert_header(("HX-Request", "true")).set_form(fields);
        self.send(request.cookie(self.cookie.clone())).await
    }

    /// Sends a form with a file in the field `file`.
    pub async fn upload(&self, path: &str, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Answer {
        const EDGE: &str = "----an-edge-that-no-file-holds";
        let mut body = Vec::new();
        for (field, value) in fields {
            body.extend(
                format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n").bytes(),
            );
        }
        let head = format!(
            "--{EDGE}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend(head.bytes());
        body.extend(bytes);
        body.extend(format!("\r\n--{EDGE}--\r\n").bytes());
        let request = post(path)
            .insert_header(("Content-Type", format!("multipart/form-data; boundary={EDGE}")))
            .set_payload(body);
        self.send(request.cookie(self.cookie.clone())).await
    }

    /// The same with htmx, and without other fields.
    pub async fn upload_with_htmx(&self, path: &str, name: &str, bytes: &[u8]) -> Answer {
        const EDGE: &str = "----an-edge-that-no-file-holds";
        let head = format!(
            "--{EDGE}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        let mut body = head.into_bytes();
        body.extend(bytes);
        body.extend(format!("\r\n--{EDGE}--\r\n").bytes());
        let request = post(path)
            .insert_header(("HX-Request", "true"))
            .insert_header(("Content-Type", format!("multipart/form-data; boundary={EDGE}")))
            .set_payload(body);
        self.send(request.cookie(self.cookie.clone())).await
    }

    /// Sends any request, as whoever its cookie says.
    pub async fn send(&self, request: TestRequest) -> Answer {
        let service = self.service.get_or_init(async || front_door(self.app.clone()).await).await;
        let response = service(request).await;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let location = headers.get("location").map(|value| value.to_str().unwrap().to_owned());
        let html = String::from_utf8_lossy(&test::read_body(response).await).into_owned();
        Answer { status, location, html, headers }
    }

    /// The counts of every run equal its rows, and it is paused exactly while a pause of it goes on.
    pub fn check_counts(&self) {
        let paused = "SELECT count(*) AS n FROM schedule_runs r WHERE (r.state = 'paused') <>
                      EXISTS (SELECT FROM run_pauses p WHERE p.run_id = r.id AND p.to_at IS NULL)";
        assert_eq!(self.number(paused), 0, "runs whose pauses say something else than they do");
        #[derive(QueryableByName)]
        struct Rows {
            #[diesel(sql_type = BigInt)]
            id: i64,
            #[diesel(sql_type = Integer)]
            next_seq: i32,
            #[diesel(sql_type = BigInt)]
            retrying: i64,
        }
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Integer)]
            seq: i32,
            #[diesel(sql_type = Nullable<SmallInt>)]
            progress: Option<i16>,
            #[diesel(sql_type = Nullable<SmallInt>)]
            outcome: Option<i16>,
        }
        self.db(|conn| {
            let runs: Vec<Rows> = diesel::sql_query(
                "SELECT r.id, r.next_seq, (SELECT count(*) FROM retries t WHERE t.run_id = r.id) AS retrying FROM schedule_runs r",
            )
            .load(conn)
            .unwrap();
            for run in runs {
                let rows: Vec<Row> =
                    diesel::sql_query("SELECT seq, progress, outcome FROM deliveries WHERE run_id = $1")
                        .bind::<BigInt, _>(run.id)
                        .load(conn)
                        .unwrap();
                let mut counted = CountChange::retrying(run.retrying);
                counted.counts.audience = rows.len() as i64;
                for row in rows {
                    counted.counts.unclaimed += i64::from(run.next_seq <= row.seq);
                    let outcome = row.outcome.map(|code| Outcome::of_code(code).unwrap());
                    counted.add(Word { progress: row.progress, outcome }, 1);
                }
                counted.counts.audience -= counted.counts.no_group;
                let kept = counts_of(conn, RunId(run.id)).unwrap();
                assert_eq!(kept, counted.counts, "counts of run {} against its rows", run.id);
                let it = bugle::runs::store::find(conn, RunId(run.id)).unwrap();
                let mut single = outcomes(conn, &it, &kept).unwrap();
                single.retain(|(outcome, _)| matches!(outcome.group(), OutcomeGroup::Failed | OutcomeGroup::Skipped | OutcomeGroup::NoGroup));
                let rows: Vec<_> = counted.outcomes.into_iter().collect();
                assert_eq!(single, rows, "outcomes of run {} against its rows", run.id);
            }
        });
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_counts();
        }
    }
}

fn post(path: &str) -> TestRequest {
    TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", "same-origin"))
}

fn app_at(url: &str, clock: Clock) -> Data<App> {
    Data::new(app_parts(url, clock))
}

fn app_parts(url: &str, clock: Clock) -> App {
    let db = Db::connect(url, 8).unwrap();
    let vital = db.beside(Purpose::Vital, 4).unwrap();
    let (books, marks) = (Db::connect(url, 4).unwrap(), Arc::default());
    let settings = Settings {
        keyring: Keyring::of(&[[7; 32]]),
        internal_gateways: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let providers = carrier::providers(&books, &books, &clock, &settings);
    let (said, turns, pulse) = (Arc::default(), Arc::default(), Arc::default());
    App { db, vital, clock, settings, books, providers, marks, said, turns, pulse }
}

/// `n` different numbers at which the carrier does nothing special.
pub fn phones(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("1202{:05}{:02}", n / 80, n % 80)).collect()
}

/// A minute of the UTC day, or a second of it: "2026-03-02 09:00" or "2026-03-02 09:00:30".
pub fn instant(text: &str) -> DateTime<Utc> {
    let text = text.replace(' ', "T");
    let seconds = if text.len() == 16 { ":00" } else { "" };
    format!("{text}{seconds}Z").parse().unwrap()
}

/// Asks again and again until it is so; fails after half a minute.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::task::yield_now().await;
        actix_web::rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[derive(QueryableByName)]
struct One {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl One {
    fn get(conn: &mut PgConnection, sql: &str) -> i64 {
        diesel::sql_query(sql).get_result::<One>(conn).unwrap().n
    }
}
