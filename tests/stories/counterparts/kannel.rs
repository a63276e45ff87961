//! Kannel with its own fake operator behind it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use bugle::deliveries::{Outcome, Show};
use bugle::ids::ChannelId;
use tempfile::TempDir;

use super::{Running, is_here, port, reachable};
use crate::desk::{Desk, until};

const FAKESMSC: &str = "/usr/lib/kannel/test/fakesmsc";

fn found(program: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.exists())
}

/// Takes the calls that Kannel makes to the product, for the desk to hear.
struct Calls {
    url: String,
    waiting: Arc<Mutex<VecDeque<String>>>,
}

impl Calls {
    fn open() -> Calls {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let waiting: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let calls = waiting.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), calls) = (stream, calls.clone()) else { return };
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    while let Some(Ok(line)) = lines.next() {
                        if let Some(path) = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) {
                            calls.lock().unwrap().push_back(path.to_owned());
                        }
                        if line.is_empty() {
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                        }
                    }
                });
            }
        });
        Calls { url, waiting }
    }
}

/// A gateway, its operator, and a desk whose campaigns go through them.
struct Kannel {
    desk: Desk,
    calls: Calls,
    dir: TempDir,
    operator: Option<Running>,
    smsc: u16,
    bearerbox: Running,
    _smsbox: Running,
}

impl Kannel {
    /// `None`: it is not installed.
    async fn start() -> Option<Kannel> {
        let programs = (found("bearerbox"), found("smsbox"), Path::new(FAKESMSC).exists());
        let (Some(bearerbox), Some(smsbox), true) = programs else {
            is_here("Kannel with fakesmsc", false);
            return None;
        };
        let (dir, calls) = (tempfile::tempdir().unwrap(), Calls::open());
        let mut desk = Desk::open_at("2026-03-02 09:00").await;
        desk.is_public_at(&calls.url);
        let ports: [u16; 4] = std::array::from_fn(|_| port());
        let [admin, boxes, smsc, sendsms] = ports;
        let address = format!("http://127.0.0.1:{sendsms}/cgi-bin/sendsms");
        let fields = [
            ("kind", "sms"),
            ("provider", "http"),
            ("preset", "kannel"),
            ("name", "Kannel"),
            ("sender", "Bugle"),
            ("ask_url", &address),
            ("ask_username", "bugle"),
            ("ask_password", "s3cret &+ü"),
        ];
        let added = desk.fill_in("/channels", &fields).await;
        assert_eq!(added.status, 303, "{}", added.html);
        desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'http'"));
        let token = desk.lines(&format!("SELECT secret AS line FROM channels WHERE id = {}", desk.channel)).remove(0);
        let hook = format!("{}/webhooks/{}/{token}", calls.url, desk.channel);
        let spool = dir.path().join("spool");
        fs::create_dir(&spool).unwrap();
        let conf = format!(
            "group = core\nadmin-port = {admin}\nadmin-password = x\nsmsbox-port = {boxes}\nadmin-interface = 127.0.0.1\n\
             smsbox-interface = 127.0.0.1\nbox-deny-ip = \"*.*.*.*\"\nbox-allow-ip = \"127.0.0.1\"\ndlr-storage = internal\n\
             store-type = spool\nstore-location = {}\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = fake\nport = {smsc}\nconnect-allow-ip = 127.0.0.1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {sendsms}\nsendsms-interface = 127.0.0.1\n\n\
             group = sendsms-user\nusername = bugle\npassword = \"s3cret &+ü\"\nconcatenation = true\nmax-messages = 10\n\n\
             group = sms-service\nkeyword = default\ncatch-all = true\nmax-messages = 0\nomit-empty = true\n\
             get-url = \"{hook}?id=%I&ts=%T&sender=%p&to=%P&message=%b&charset=%C\"\n",
            spool.display()
        );
        let path = dir.path().join("kannel.conf");
        fs::write(&path, conf).unwrap();
        let run = |program: &Path| {
            let log = File::create(dir.path().join(program.file_name().unwrap())).unwrap();
            let mut command = Command::new(program);
            Running::start(command.arg("-v").arg("4").arg(&path).stdout(log.try_clone().unwrap()).stderr(log))
        };
        let bearerbox = run(&bearerbox);
        reachable(boxes).await;
        let smsbox = run(&smsbox);
        reachable(sendsms).await;
        let mut kannel = Kannel { desk, calls, dir, operator: None, smsc, bearerbox, _smsbox: smsbox };
        kannel.operator_comes("héllo-wörld");
        until("the operator's line is up", || !kannel.calls.waiting.lock().unwrap().is_empty()).await;
        Some(kannel)
    }

    /// The operator connects, and one phone writes this.
    fn operator_comes(&mut self, says: &str) {
        let log = File::options().append(true).create(true).open(self.dir.path().join("phone")).unwrap();
        let (port, message) = (self.smsc.to_string(), format!("+353861230000 13013 text {says}"));
        let mut command = Command::new(FAKESMSC);
        command.args(["-H", "127.0.0.1", "-r", &port, "-i", "1", "-m", "1", &message]);
        self.operator = Some(Running::start(command.stdout(log.try_clone().unwrap()).stderr(log)));
    }

    /// What arrived on phones, a line each.
    fn arrived(&self) -> Vec<String> {
        let log = fs::read(self.dir.path().join("phone")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log).into_owned();
        text.lines().filter(|line| line.contains("Got message")).map(str::to_owned).collect()
    }

    /// Lets the desk hear calls until it is so.
    async fn hears_until(&self, what: &str, is_so: impl Fn(&Desk) -> bool) {
        let began = std::time::Instant::now();
        while !is_so(&self.desk) {
            assert!(began.elapsed().as_secs() < 30, "waited in vain: {what}");
            let call = self.calls.waiting.lock().unwrap().pop_front();
            match call {
                Some(path) => {
                    let answer = self.desk.send(TestRequest::get().uri(&path)).await;
                    assert_eq!((answer.status, answer.html.as_str()), (200, ""), "{path}");
                }
                None => tokio::task::yield_now().await,
            }
        }
    }

    fn delivered(&self, run: bugle::ids::RunId) -> usize {
        self.desk.ledger(run, Show::Outcome(Outcome::Delivered)).len()
    }
}

#[actix_web::test]
async fn texts_go_out_through_kannel_and_what_becomes_of_them_and_answers_come_in() {
    let Some(kannel) = Kannel::start().await else { return };
    let desk = &kannel.desk;
    let said = |desk: &Desk| desk.lines("SELECT body AS line FROM messages WHERE author = 'contact'");
    kannel.hears_until("the phone's words", |desk| said(desk) == ["héllo-wörld"]).await;
    assert_eq!(desk.lines("SELECT address AS line FROM contacts WHERE address LIKE '353%'"), ["353861230000"]);

    let (.., run) = desk.campaign("Spring", 20, "09:00-11:00", 6_000.0).await;
    // A connection that took too long is no fault of a message: it goes back, and comes round.
    for _ in 0..5 {
        desk.later(2);
        desk.tick().await;
    }
    assert_eq!(desk.counts(run).accepted, 20, "{:?}", desk.counts(run));
    kannel.hears_until("all are delivered", |_| kannel.delivered(run) == 20).await;
    until("all have arrived", || kannel.arrived().len() >= 20).await;
    assert_eq!(kannel.arrived().len(), 20);
    desk.check_counts();

    // A long text, in letters that no alphabet of phones has: several pieces, one word of what became of it.
    let path = format!("/channels/{}/test", desk.channel);
    let long = "Привет €. ".repeat(20);
    let sent = desk.fill_in(&path, &[("to", "+353861234567"), ("text", &long)]).await;
    desk.lands(sent).await.shows("The provider took it.");
    until("its pieces have arrived", || kannel.arrived().len() == 23).await;
    assert!(kannel.arrived()[20..].iter().all(|line| line.contains("udh %05%00%03")), "{:?}", kannel.arrived());
}

#[actix_web::test]
async fn a_gateway_that_freezes_with_a_message_in_its_hands_is_asked_once_and_tells_later() {
    let Some(kannel) = Kannel::start().await else { return };
    let desk = &kannel.desk;
    kannel.bearerbox.signal(libc::SIGSTOP);
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    assert_eq!(desk.counts(run).unconfirmed, 1, "nobody can say");
    assert_eq!(kannel.arrived().len(), 0);
    desk.later(60);
    desk.tick().await;
    kannel.bearerbox.signal(libc::SIGCONT);
    kannel.hears_until("it is delivered after all", |_| kannel.delivered(run) == 1).await;
    assert_eq!((kannel.arrived().len(), desk.counts(run).unconfirmed), (1, 0));
    desk.check_counts();
}

#[actix_web::test]
async fn while_the_operators_line_is_down_kannel_keeps_what_it_took() {
    let Some(mut kannel) = Kannel::start().await else { return };
    kannel.operator = None;
    let (.., run) = kannel.desk.campaign("Spring", 2, "09:00-11:00", 6_000.0).await;
    kannel.desk.later(2);
    kannel.desk.tick().await;
    assert_eq!(kannel.desk.counts(run).accepted, 2, "queued there is taken");
    kannel.operator_comes("again");
    kannel.hears_until("both are delivered", |_| kannel.delivered(run) == 2).await;
    until("both have arrived", || kannel.arrived().len() == 2).await;
    kannel.desk.check_counts();
}

#[actix_web::test]
async fn a_wrong_password_holds_the_channel_and_a_gateway_that_is_not_there_is_waited_for() {
    let Some(kannel) = Kannel::start().await else { return };
    let desk = &kannel.desk;
    let path = format!("/channels/{}", desk.channel);
    let address =
        desk.lines("SELECT settings->'asked'->>'url' AS line FROM channels WHERE provider = 'http'").remove(0);
    let with = async |address: &str, password: &str| {
        let fields = [
            ("name", "Kannel"),
            ("sender", "Bugle"),
            ("preset", "kannel"),
            ("ask_url", address),
            ("ask_username", "bugle"),
            ("ask_password", password),
        ];
        assert_eq!(desk.fill_in(&path, &fields).await.status, 303);
    };
    with(&address, "wrong").await;
    let (.., run) = desk.campaign("Spring", 2, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    assert_eq!((desk.counts(run).failed, desk.counts(run).accepted), (0, 0));
    with(&format!("http://127.0.0.1:{}/", port()), "s3cret &+ü").await;
    for _ in 0..40 {
        desk.later(2);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).failed, desk.counts(run).accepted, desk.counts(run).unconfirmed), (0, 0, 0));
    with(&address, "").await;
    for _ in 0..40 {
        desk.later(2);
        desk.tick().await;
    }
    kannel.hears_until("both are delivered", |_| kannel.delivered(run) == 2).await;
    desk.check_counts();
}
