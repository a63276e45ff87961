//! PAUSE and STOP of a house under siege: expensive questions, slow bodies and open streams by the thousand.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bugle::campaigns::CampaignKind;
use bugle::drafting;
use bugle::ids::{ChannelId, FileId, RunId, ScheduleId, VisitorId};
use bugle::lists::domain::{Condition, Field, Filter, FilterOp, Join};
use bugle::providers::Kind;
use bugle::schedules::Draft;
use bugle::webchat::domain::token;
use chrono::{TimeDelta, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ground::{EMAIL, Ground, House, PASSWORD};
use crate::http::Browser;
use crate::table::{Row, Target, percentile};

const ASKERS: usize = 24;
const SLOW_BODIES: usize = 300;
const STREAMS: usize = 1_000;
/// A click that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answers to PAUSE and STOP under siege, against those of the same process when nobody else asks.
pub async fn besieged(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("besieged")?, ground.size(300_000));
    let clicks = if ground.quick { 10 } else { 100 };
    let file = house.contacts(n)?;
    // Nobody whose line goes dead: a click waits for those, besieged or not.
    house.sql(
        "UPDATE contacts SET address = '44741' || lpad(id::text, 7, '0') || '8';
         UPDATE file_rows r SET address = c.address FROM contacts c WHERE c.id = r.contact_id",
    )?;
    let few = few(&house)?;
    // It sends all the time, and not so much that it would be the siege itself.
    house.sql("UPDATE channels SET per_minute = 1200")?;
    let (schedule, run) = house.launch(file)?;
    let chat = chat(&house)?;
    let list = filter(&house)?;
    let serving = Serving::start(&house)?;
    let address = serving.1;
    let browser = Browser::sign_in(address, EMAIL, PASSWORD).await?;
    while house.number("SELECT count(*) AS n FROM sandbox_messages")? == 0 {
        sleep(Duration::from_millis(50)).await;
    }

    let names = ["PAUSE", "STOP"];
    let mut p50 = names.map(|name| Row::new(format!("{name} under siege, p50, against idle"), "ms", Target::Told));
    let mut p99 = names.map(|name| Row::new(format!("… {name}, p99"), "ms", Target::AtMost(5.0)));
    let mut failed = Row::new("… clicks that failed", "clicks", Target::Below(1.0));
    let mut asked = Row::new("… answers to those who besiege", "a second", Target::Told);
    for _ in 0..ground.rounds() {
        let mut click = Clicks { house: &house, address, cookie: &browser.cookie, schedule, few, failed: 0 };
        let idle = click.press(clicks).await?;
        let siege = Siege::lay(Aim { address, cookie: browser.cookie.clone(), run, list, chat })?;
        siege.stands().await;
        let (began, before) = (Instant::now(), siege.answers());
        let under = click.press(clicks).await?;
        let answers = (siege.answers() - before) as f64 / began.elapsed().as_secs_f64();
        siege.lift()?;
        for (k, (under, idle)) in under.into_iter().zip(idle).enumerate() {
            p50[k].add(percentile(under.iter().copied(), 0.5), percentile(idle.iter().copied(), 0.5));
            p99[k].add(percentile(under, 0.99), percentile(idle, 0.99));
        }
        failed.add_alone(click.failed as f64);
        asked.add_alone(answers);
    }
    drop(serving);
    Ok(p50.into_iter().chain(p99).chain([failed, asked]).collect())
}

/// The real program with all its walls, not the parts of it that other benchmarks serve by themselves.
struct Serving(Child, SocketAddr);

impl Serving {
    fn start(house: &House) -> anyhow::Result<Serving> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bugle"))
            .args(["serve", "--port", "0", "--demo", "none"])
            .env("DATABASE_URL", &house.url)
            .env("BUGLE_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let mut serving = Serving(child, SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let listening = lines.find_map(|line| Some(line.strip_prefix("Listening on http://")?.to_owned()));
        serving.1 = listening.context("it does not serve")?.parse()?;
        // Somebody has to go on reading what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(serving)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A filter list whose count reads every contact twenty times.
fn filter(house: &House) -> anyhow::Result<i64> {
    let condition = |k: usize| Condition {
        field: Field::Value(["name", "balance"][k % 2].to_owned()),
        op: FilterOp::Contains,
        value: format!("nobody has {k}"),
    };
    let filter = Filter { join: Join::Any, conditions: (0..20).map(condition).collect() };
    let id =
        bugle::lists::actions::create_filter(&mut house.conn()?, "Dear", Kind::Sms, &filter, house.admin, Utc::now())?;
    Ok(id.0)
}

/// A file with ten contacts, for campaigns that are stopped.
fn few(house: &House) -> anyhow::Result<FileId> {
    house.sql(&format!(
        "INSERT INTO files (name, size_bytes, sha256, format, headers, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
         VALUES ('few.csv', 1, '', 'csv', '[\"phone\"]', '[{{\"use\": \"channel_id\"}}]', 'imported', 10, 10, {}, now(), now());
         INSERT INTO file_rows (file_id, seq, line, contact_id, address, \"values\")
         SELECT (SELECT max(id) FROM files), c.id, c.id + 1, c.id, c.address, '{{}}' FROM contacts c WHERE c.id <= 10",
        house.admin
    ))?;
    Ok(FileId(house.number("SELECT max(id) AS n FROM files")?))
}

/// A campaign that waits for tomorrow; returns its schedule.
fn waiting(house: &House, file: FileId) -> anyhow::Result<ScheduleId> {
    let (conn, now) = (&mut house.conn()?, Utc::now());
    let n = house.number("SELECT count(*) AS n FROM campaigns")?;
    let (day, time) = (now.date_naive() + TimeDelta::days(1), now.time());
    let plan = Draft::once("Main", house.channel, "Hello", day, time, time, 60.0);
    let campaign = drafting::actions::create(
        conn,
        &format!("Waits {n}"),
        CampaignKind::OnceOff,
        chrono_tz::UTC,
        house.admin,
        now,
    )?;
    drafting::actions::set_file(conn, campaign, Some(file), house.admin, now)?;
    let schedule = drafting::actions::add_schedule(conn, campaign, &plan, house.admin, now)?;
    drafting::actions::launch(conn, campaign, house.admin, now)?;
    Ok(schedule)
}

/// A web chat with a hundred visitors.
fn chat(house: &House) -> anyhow::Result<ChannelId> {
    house.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
         VALUES ('Chat', 'webchat', 'webchat', 'Bugle', 's3cret', now());
         INSERT INTO webchat_visitors (channel_id, address, created_at, seen_at)
         SELECT (SELECT max(id) FROM channels), 'visitor-' || k, now(), now() FROM generate_series(1, 100) k ORDER BY k",
    )?;
    Ok(ChannelId(house.number("SELECT max(id) AS n FROM channels")?))
}

/// Somebody who has to stop things.
struct Clicks<'a> {
    house: &'a House,
    address: SocketAddr,
    cookie: &'a str,
    schedule: ScheduleId,
    few: FileId,
    failed: usize,
}

impl Clicks<'_> {
    /// Milliseconds to the answers of so many clicks on PAUSE and on STOP.
    async fn press(&mut self, n: usize) -> anyhow::Result<[Vec<f64>; 2]> {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..n {
            let stopped = waiting(self.house, self.few)?;
            times[0].extend(self.click(&format!("/schedules/{}/pause", self.schedule)).await);
            self.click(&format!("/schedules/{}/resume", self.schedule)).await;
            times[1].extend(self.click(&format!("/schedules/{stopped}/stop")).await);
        }
        Ok(times)
    }

    async fn click(&mut self, path: &str) -> Option<f64> {
        let began = Instant::now();
        let pressed = timeout(PATIENCE, async { Browser::open(self.address, self.cookie).await?.post(path, "").await });
        match pressed.await {
            Ok(Ok(_)) => Some(began.elapsed().as_secs_f64() * 1e3),
            Ok(Err(error)) => {
                eprintln!("  {}", error.to_string().lines().next().unwrap_or_default());
                self.failed += 1;
                None
            }
            Err(_) => {
                eprintln!("  {path}: no answer within {} s", PATIENCE.as_secs());
                self.failed += 1;
                None
            }
        }
    }
}

/// What is besieged.
#[derive(Clone)]
struct Aim {
    address: SocketAddr,
    cookie: String,
    run: RunId,
    list: i64,
    chat: ChannelId,
}

/// Those who besiege, on a thread of their own. Whoever is turned away comes again.
struct Siege {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

#[derive(Default)]
struct Counts {
    answers: AtomicU64,
    streams: AtomicU64,
    slow: AtomicU64,
}

impl Siege {
    fn lay(aim: Aim) -> anyhow::Result<Siege> {
        many_files()?;
        let (over, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        let (is_over, counted) = (over.clone(), counts.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                for k in 0..ASKERS {
                    tokio::spawn(ask(aim.clone(), k, counted.clone()));
                }
                for _ in 0..SLOW_BODIES {
                    tokio::spawn(speak_slowly(aim.clone(), counted.clone()));
                }
                for k in 0..STREAMS {
                    tokio::spawn(listen(aim.clone(), k, counted.clone()));
                }
                while !is_over.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(100)).await;
                }
            });
            anyhow::Ok(())
        });
        Ok(Siege { over, counts, thread })
    }

    /// Waits until all who will be let in are there.
    async fn stands(&self) {
        let mut before = (0, 0);
        for _ in 0..20 {
            sleep(Duration::from_secs(1)).await;
            let now = (self.counts.streams.load(Ordering::SeqCst), self.counts.slow.load(Ordering::SeqCst));
            if now == before && now.0 > 0 {
                break;
            }
            before = now;
        }
        eprintln!("  {ASKERS} ask, {} streams are open, {} speak slowly", before.0, before.1);
    }

    fn answers(&self) -> u64 {
        self.counts.answers.load(Ordering::SeqCst)
    }

    fn lift(self) -> anyhow::Result<()> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| anyhow::anyhow!("the siege broke off"))?
    }
}

/// Lets this process open as many files as it may.
fn many_files() -> anyhow::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a limit of ours.
    unsafe {
        ensure!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0, "no limit of files");
        limit.rlim_cur = limit.rlim_max;
        ensure!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0, "the limit of files stays");
    }
    Ok(())
}

/// Asks the most expensive questions, one after another, for ever.
async fn ask(aim: Aim, k: usize, counts: Arc<Counts>) {
    let paths = [
        format!("/lists/{}/count", aim.list),
        format!("/runs/{}", aim.run),
        "/contacts?q=name:8".to_owned(),
        "/contacts.csv".to_owned(),
        format!("/lists/{}/count", aim.list),
        format!("/runs/{}?q=4474109", aim.run),
    ];
    for path in paths.iter().cycle().skip(k) {
        let asked = async {
            let mut stream = begin(&aim, "GET", path, "Connection: close\r\n").await?;
            while stream.read(&mut [0; 64 << 10]).await? > 0 {}
            std::io::Result::Ok(())
        };
        match asked.await {
            Ok(()) => drop(counts.answers.fetch_add(1, Ordering::SeqCst)),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Signs in with a form that comes a byte every two seconds.
async fn speak_slowly(aim: Aim, counts: Arc<Counts>) {
    loop {
        let head = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n";
        if let Ok(mut stream) = begin(&aim, "POST", "/sign-in", head).await {
            counts.slow.fetch_add(1, Ordering::SeqCst);
            while stream.write_all(b"a").await.is_ok() {
                let heard = timeout(Duration::from_secs(2), stream.read(&mut [0; 1024])).await;
                if heard.is_ok_and(|heard| heard.unwrap_or(0) == 0) {
                    break;
                }
            }
            counts.slow.fetch_sub(1, Ordering::SeqCst);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Holds a stream open: of the web chat, or of live progress.
async fn listen(aim: Aim, k: usize, counts: Arc<Counts>) {
    let (chat, now) = (aim.chat, Utc::now());
    let (path, head) = match k % 2 {
        0 => ("/campaigns/live?ids=1,2,3,4,5".to_owned(), String::new()),
        _ => {
            let visitor = token("s3cret", chat, VisitorId(1 + k as i64 / 2 % 100), now);
            (format!("/webchat/{chat}/stream"), format!("Authorization: Bearer {visitor}\r\n"))
        }
    };
    loop {
        if let Ok(mut stream) = begin(&aim, "GET", &path, &head).await {
            let mut heard = [0; 16 << 10];
            let first = stream.read(&mut heard).await.unwrap_or(0);
            if heard[..first].starts_with(b"HTTP/1.1 200") {
                counts.streams.fetch_add(1, Ordering::SeqCst);
                while stream.read(&mut heard).await.is_ok_and(|n| n > 0) {}
                counts.streams.fetch_sub(1, Ordering::SeqCst);
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn begin(aim: &Aim, method: &str, path: &str, head: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(aim.address).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\nCookie: {}\r\n{head}\r\n",
        aim.address, aim.cookie
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}
