//! An installation: a server, processes of `bugle`, somebody who presses the buttons, and the truth.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use bugle::access::{Actor, Role};
use bugle::campaigns::CampaignKind;
use bugle::deliveries::counts::{counts_of, outcomes};
use bugle::deliveries::{CountChange, Counts, Outcome, OutcomeGroup, Word};
use bugle::drafting;
use bugle::ids::{CampaignId, ChannelId, FileId, RunId, ScheduleId, UserId};
use bugle::pacing::LatePolicy;
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;
use bugle::providers::sandbox::Knobs;
use bugle::schedules::Draft;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt};

use super::account::Account;
use super::browser::{Answer, Browser};
use super::program::Program;
use super::server::{Server, folder};
use super::{AGAIN, PATIENCE, PROMPT, comes_true, nap};

const EMAIL: &str = "admin@example.org";
const PASSWORD: &str = "a password for torture";

/// An installation that nobody has used yet, not running.
static TEMPLATE: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut server = Server::make(&folder("template"));
    let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
    conn.batch_execute("CREATE DATABASE bugle").unwrap();
    drop(conn);
    let url = server.url("bugle");
    bugle::db::migrate(&url).unwrap();
    let (conn, now) = (&mut PgConnection::establish(&url).unwrap(), Utc::now());
    let new = NewUser { email: EMAIL.into(), name: "Ada".into(), role: Role::Admin, password: PASSWORD.into() };
    add_user(conn, &new, Actor::Shell, now).unwrap();
    bugle::channels::actions::ensure_channel(conn, now).unwrap();
    let knobs = Knobs { latency_ms: 5, latency_to_ms: 60, receipt_ms: 100, ..Knobs::default() };
    let knobs = serde_json::to_string(&knobs).unwrap();
    conn.batch_execute(&format!("UPDATE channels SET settings = '{knobs}'")).unwrap();
    // The carrier's books are our witness: unlike in the product they survive the server.
    conn.batch_execute(
        "CREATE FUNCTION keep_books() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM set_config('synchronous_commit', 'on', true); RETURN NULL; END $$;
         CREATE TRIGGER keep_books AFTER INSERT ON sandbox_messages EXECUTE FUNCTION keep_books();
         CHECKPOINT",
    )
    .unwrap();
    server.stop();
    server.data.clone()
});

#[derive(Clone, Copy)]
pub struct Campaign {
    pub id: CampaignId,
    pub schedule: ScheduleId,
    pub run: RunId,
}

/// A time in which nothing may begin, because somebody was told so.
struct Silence {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    why: String,
}

pub struct House {
    pub processes: Vec<Program>,
    pub server: Server,
    pub dir: PathBuf,
    pub admin: UserId,
    pub channel: ChannelId,
    cookie: String,
    silences: Vec<Silence>,
}

impl House {
    /// With so many processes, which all do everything.
    pub fn open(processes: usize) -> House {
        House::open_in(folder("house"), processes)
    }

    /// The same with its data in `dir`.
    pub fn open_in(dir: PathBuf, processes: usize) -> House {
        let server = Server::copy(&TEMPLATE, &dir);
        let mut house = House {
            processes: Vec::new(),
            server,
            dir: folder("logs"),
            admin: UserId(0),
            channel: ChannelId(0),
            cookie: String::new(),
            silences: Vec::new(),
        };
        house.admin = UserId(house.number("SELECT id AS n FROM users"));
        house.channel = ChannelId(house.number("SELECT id AS n FROM channels"));
        for _ in 0..processes {
            house.serve();
        }
        house
    }

    /// One more process.
    pub fn serve(&mut self) {
        let program = self.another(&self.server.url("bugle"), &[]);
        self.processes.push(program);
    }

    /// A process that listens and is not one of `processes` yet.
    pub fn another(&mut self, url: &str, variables: &[(&str, &str)]) -> Program {
        let mut program = Program::launch(url, &self.dir, &[], variables);
        assert!(program.listens_within(Duration::from_secs(60)), "it does not start: {}", program.said());
        if self.cookie.is_empty() {
            self.cookie = Browser::sign_in(program.address, EMAIL, PASSWORD).cookie;
        }
        program
    }

    /// SIGKILL of one process, and another in its place.
    pub fn replace(&mut self, n: usize) {
        self.processes[n].kill();
        let program = self.another(&self.server.url("bugle"), &[]);
        self.processes[n] = program;
    }

    /// The admin at one of the processes.
    pub fn browser(&self, n: usize) -> Browser {
        Browser { address: self.processes[n].address, cookie: self.cookie.clone() }
    }

    // ---- arranging ----

    pub fn conn(&self) -> PgConnection {
        PgConnection::establish(&self.server.url("bugle")).unwrap()
    }

    pub fn sql(&self, sql: &str) {
        self.conn().batch_execute(sql).unwrap();
    }

    /// The answer of a query whose only column is called `n`.
    pub fn number(&self, sql: &str) -> i64 {
        Self::number_on(&mut self.conn(), sql)
    }

    fn number_on(conn: &mut PgConnection, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct One {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        diesel::sql_query(sql).get_result::<One>(conn).unwrap().n
    }

    /// A campaign to `n` people of its own that sends `rate` a minute from now on.
    pub fn campaign(&self, n: usize, rate: f64) -> Campaign {
        self.campaign_like(n, rate, LatePolicy::KeepRate)
    }

    /// The same, and with what should have left since twelve hours ago if `late` says so.
    pub fn campaign_like(&self, n: usize, rate: f64, late: LatePolicy) -> Campaign {
        let (admin, conn, now) = (self.admin, &mut self.conn(), Utc::now());
        conn.batch_execute(&format!(
            "INSERT INTO files (name, size_bytes, sha256, format, headers, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
             VALUES ('people.csv', 1, '', 'csv', '[\"phone\", \"name\"]', '[{{\"use\": \"channel_id\"}}, {{\"use\": \"data\", \"field\": \"name\"}}]',
                     'imported', {n}, {n}, {admin}, now(), now());
             WITH made AS (
                 INSERT INTO contacts (kind, address)
                 SELECT 'sms', '4474' || lpad(f.id::text, 2, '0') || lpad((k / 70)::text, 4, '0') || lpad((k % 70)::text, 2, '0')
                 FROM generate_series(1, {n}) k, (SELECT max(id) AS id FROM files) f RETURNING id, address
             )
             INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, \"values\")
             SELECT (SELECT max(id) FROM files), row_number() OVER (ORDER BY id), 1 + row_number() OVER (ORDER BY id), id, address,
                    'C' || id, jsonb_build_object('name', 'Name' || id) FROM made;
             ANALYZE contacts; ANALYZE file_rows"
        ))
        .unwrap();
        let file = FileId(self.number("SELECT max(id) AS n FROM files"));
        let opened = now - TimeDelta::hours(12);
        let plan =
            Draft::once("Main", self.channel, "Hello #name", opened.date_naive(), opened.time(), opened.time(), rate);
        let plan = Draft { late, ..plan };
        let name = format!("Torture {file}");
        let id = drafting::actions::create(conn, &name, CampaignKind::OnceOff, chrono_tz::UTC, admin, now).unwrap();
        drafting::actions::set_file(conn, id, Some(file), admin, now).unwrap();
        let schedule = drafting::actions::add_schedule(conn, id, &plan, admin, now).unwrap();
        drafting::actions::launch(conn, id, admin, now).unwrap();
        let run = self.number(&format!("SELECT id AS n FROM schedule_runs WHERE schedule_id = {schedule}"));
        Campaign { id, schedule, run: RunId(run) }
    }

    // ---- pressing ----

    /// PAUSE, STOP or their like at one of the processes. From the answer until [`House::may_send`]
    /// nothing may begin.
    pub fn stills(&mut self, account: &mut Account, n: usize, path: &str, patience: Duration) -> Option<Answer> {
        let pressed = match path {
            "/stop" => {
                let word = super::browser::Form::Fields(&[("word", "STOP")]);
                self.browser(n).post(path, &word, PATIENCE.max(patience))
            }
            _ => self.browser(n).press(path, PATIENCE.max(patience)),
        };
        let answer = match pressed {
            Ok(answer) => answer,
            Err(error) => {
                account.must(false, format!("{path}: no answer: {error}"));
                return None;
            }
        };
        account.took(answer.took);
        let took = answer.took.as_secs_f64();
        account.must(answer.did_it(), format!("{path}: {} after {took:.2} s", answer.status));
        account.must(answer.took <= patience, format!("{path}: answered after {took:.2} s"));
        if answer.did_it() {
            self.is_silent_from(answer.at, path);
            return Some(answer);
        }
        None
    }

    /// From now on nothing may begin, because of `why`.
    pub fn is_silent_from(&mut self, from: DateTime<Utc>, why: &str) {
        self.silences.push(Silence { from, to: DateTime::<Utc>::MAX_UTC, why: why.to_owned() });
    }

    /// Sends may begin again: about to press RESUME.
    pub fn may_send(&mut self) {
        let now = Utc::now();
        for silence in self.silences.iter_mut().filter(|it| it.to == DateTime::<Utc>::MAX_UTC) {
            silence.to = now;
        }
    }

    /// RESUME of what was paused; tried until it is done.
    pub fn resumes(&mut self, account: &mut Account, n: usize, path: &str) {
        self.may_send();
        let browser = self.browser(n);
        let done = comes_true(AGAIN, || {
            browser.press(path, PATIENCE).is_ok_and(|answer| answer.did_it() || answer.status == 409)
        });
        account.must(done, format!("{path} was never done"));
    }

    /// PAUSE of the first click, silence for `quiet` milliseconds, RESUME.
    pub fn pauses_and_resumes(&mut self, account: &mut Account, n: usize, campaign: Campaign, quiet: u64) {
        let schedule = campaign.schedule;
        account.tries += 1;
        self.stills(account, n, &format!("/schedules/{schedule}/pause"), PROMPT);
        nap(quiet);
        self.resumes(account, n, &format!("/schedules/{schedule}/resume"));
    }

    /// Sending goes on with no hand on it, as long as there is anything left.
    pub fn goes_on(&self, account: &mut Account, campaign: Campaign, after: &str) {
        let before = self.sent();
        let went = comes_true(AGAIN, || before < self.sent() || self.unsent(campaign) == 0);
        account.must(went, format!("{after}: nothing was sent for {} s", AGAIN.as_secs()));
    }

    // ---- the truth ----

    pub fn sent(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM sandbox_messages WHERE part IS NOT NULL")
    }

    pub fn unsent(&self, campaign: Campaign) -> i64 {
        self.number(&format!(
            "SELECT greatest(0, last_seq - next_seq + 1)::bigint AS n FROM schedule_runs WHERE id = {}",
            campaign.run
        ))
    }

    pub fn open_leases(&self) -> i64 {
        Self::open_leases_on(&mut self.conn())
    }

    /// The same on a connection that is there already: a server without room opens no others.
    pub fn open_leases_on(conn: &mut PgConnection) -> i64 {
        Self::number_on(conn, "SELECT coalesce(sum(open), 0)::bigint AS n FROM leases WHERE open > 0")
    }

    pub fn until_sent(&self, n: i64) {
        let sent = comes_true(Duration::from_secs(60), || n <= self.sent());
        let said: Vec<String> = self.processes.iter().map(Program::said).collect();
        assert!(sent, "only {} were sent: {}", self.sent(), said.join("\n"));
    }

    /// Waits until every contact has a word, as long as more of them get one. Leases of the dead are brought to
    /// their end.
    pub fn finish(&self, account: &mut Account, campaigns: &[Campaign]) {
        let conn = &mut self.conn();
        let mut counted = || -> Vec<Counts> {
            conn.batch_execute(
                "UPDATE leases SET expires_at = taken_at WHERE open > 0 AND taken_at < now() - interval '5 seconds'",
            )
            .unwrap();
            campaigns.iter().map(|campaign| counts_of(conn, campaign.run).unwrap()).collect()
        };
        let is_whole = |counts: &Counts| 0 < counts.audience && counts.settled() == counts.audience;
        let (mut counts, mut moved) = (counted(), std::time::Instant::now());
        while !counts.iter().all(is_whole) {
            let now = counted();
            if now != counts {
                (counts, moved) = (now, std::time::Instant::now());
            }
            if Duration::from_secs(60) < moved.elapsed() {
                let said: Vec<String> = self.processes.iter().map(Program::said).collect();
                account.must(false, format!("somebody was forgotten: {counts:?}\n      {}", said.join("\n      ")));
                return;
            }
            nap(100);
        }
    }

    /// Nobody got it twice, the carrier and the ledger agree, the counts equal the rows, and nothing
    /// began while it was silent.
    pub fn settle_up(&self, account: &mut Account) {
        let twice =
            self.number("SELECT count(*) - count(DISTINCT phone) AS n FROM sandbox_messages WHERE part IS NOT NULL");
        account.must(twice == 0, format!("{twice} were sent to twice"));
        let ghosts = self.number(
            "SELECT count(*) AS n FROM deliveries d WHERE (progress IS NOT NULL OR outcome = 0)
             AND NOT EXISTS (SELECT FROM sandbox_messages m WHERE m.phone = d.address AND m.part IS NOT NULL)",
        );
        account.must(ghosts == 0, format!("{ghosts} are told as sent and no phone has them"));
        let silent = self.number(
            "SELECT count(*) AS n FROM sandbox_messages m JOIN deliveries d ON d.address = m.phone
             WHERE m.part IS NOT NULL AND d.progress IS NULL AND d.outcome IS DISTINCT FROM 0 AND d.outcome IS DISTINCT FROM 14
               AND NOT EXISTS (SELECT FROM leases l WHERE l.run_id = d.run_id AND 0 < l.open)",
        );
        account.must(silent == 0, format!("{silent} phones have it and the ledger does not say so"));
        self.count_rows(account);
        for silence in &self.silences {
            let within = |what: &str| {
                self.number(&format!(
                    "SELECT {what} AS n FROM sandbox_messages WHERE part IS NOT NULL AND '{}' < stamped_at AND stamped_at < '{}'",
                    silence.from.to_rfc3339(),
                    silence.to.min(Utc::now()).to_rfc3339(),
                ))
            };
            let began = within("count(*)");
            if 0 < began {
                let last = within(&format!(
                    "(extract(epoch FROM max(stamped_at) - '{}') * 1000)::bigint",
                    silence.from.to_rfc3339()
                ));
                account.must(
                    false,
                    format!("{}: {began} began afterwards, the last {last} ms after the answer", silence.why),
                );
            }
        }
    }

    /// The tallies of every run against its rows, in one snapshot.
    pub fn count_rows(&self, account: &mut Account) {
        #[derive(QueryableByName)]
        struct Run {
            #[diesel(sql_type = BigInt)]
            id: i64,
            #[diesel(sql_type = Integer)]
            next_seq: i32,
            #[diesel(sql_type = BigInt)]
            retrying: i64,
        }
        #[derive(QueryableByName)]
        struct Group {
            #[diesel(sql_type = Nullable<SmallInt>)]
            progress: Option<i16>,
            #[diesel(sql_type = Nullable<SmallInt>)]
            outcome: Option<i16>,
            #[diesel(sql_type = BigInt)]
            n: i64,
            #[diesel(sql_type = BigInt)]
            ahead: i64,
        }
        let conn = &mut self.conn();
        let compared = conn.build_transaction().repeatable_read().read_only().run(|conn| {
            let runs: Vec<Run> = diesel::sql_query(
                "SELECT r.id, r.next_seq, (SELECT count(*) FROM retries t WHERE t.run_id = r.id) AS retrying FROM schedule_runs r",
            )
            .load(conn)?;
            let mut wrong = Vec::new();
            for run in runs {
                let groups: Vec<Group> = diesel::sql_query(
                    "SELECT progress, outcome, count(*) AS n, count(*) FILTER (WHERE $2 <= seq) AS ahead
                     FROM deliveries WHERE run_id = $1 GROUP BY progress, outcome",
                )
                .bind::<BigInt, _>(run.id)
                .bind::<Integer, _>(run.next_seq)
                .load(conn)?;
                let mut rows = CountChange::retrying(run.retrying);
                for group in groups {
                    rows.counts.audience += group.n;
                    rows.counts.unclaimed += group.ahead;
                    let outcome = group.outcome.and_then(Outcome::of_code);
                    rows.add(Word { progress: group.progress, outcome }, group.n);
                }
                rows.counts.audience -= rows.counts.no_group;
                let kept = counts_of(conn, RunId(run.id))?;
                let it = bugle::runs::store::find(conn, RunId(run.id))?;
                let single = outcomes(conn, &it, &kept)?;
                let single: BTreeMap<Outcome, i64> = single
                    .into_iter()
                    .filter(|(outcome, _)| matches!(outcome.group(), OutcomeGroup::Failed | OutcomeGroup::Skipped | OutcomeGroup::NoGroup))
                    .collect();
                if (kept, &single) != (rows.counts, &rows.outcomes) {
                    wrong.push(format!("run {}: told {kept:?} and {single:?}, in rows {rows:?}", run.id));
                }
            }
            QueryResult::Ok(wrong)
        });
        for wrong in compared.unwrap() {
            account.must(false, wrong);
        }
    }
}
