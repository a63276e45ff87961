//! A gateway of somebody else that loses its answers, under processes that are killed, and what phones really got.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bugle::channels::domain::{ChannelSetup, Own};
use bugle::deliveries::Outcome;
use bugle::ids::{ChannelId, RunId};
use bugle::keyring::Keyring;
use bugle::providers::Kind;
use bugle::providers::credentials::Credentials;
use bugle::providers::http::HttpSettings;
use bugle::providers::http::gateway::CUSTOM;
use chrono::Utc;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, SmallInt};
use rand::Rng;

use super::account::Account;
use super::house::{Campaign, House};
use super::{PROMPT, chance, comes_true, nap, tries};

/// Messages that a gateway takes within a second; beyond them it says so.
const A_SECOND: usize = 400;

/// What a gateway does with a message that it is not too fast for, by its number in the run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// It sends it, says so, and tells what becomes of it.
    Well,
    /// It sends it, and hangs up without a word; what becomes of it, it tells.
    SentInSilence,
    /// It hangs up, and nobody gets anything.
    Nothing,
}

fn does(seq: i32) -> Does {
    match seq.wrapping_mul(7919).rem_euclid(100) {
        0..5 => Does::SentInSilence,
        5..10 => Does::Nothing,
        _ => Does::Well,
    }
}

#[derive(Default)]
struct Phones {
    /// Copies that each contact of a run got.
    copies: HashMap<(i64, i32), u32>,
    asked: HashMap<(i64, i32), u32>,
    /// When the last request came in.
    last: Option<Instant>,
    /// Those of the last second that were not too fast.
    lately: VecDeque<Instant>,
    /// Whose last try was too fast.
    later: HashSet<(i64, i32)>,
    n_later: usize,
    /// Calls that it owes, and how many of them are on their way.
    calls: Vec<String>,
    calling: usize,
}

#[derive(Clone)]
struct Gateway {
    url: String,
    phones: Arc<Mutex<Phones>>,
    /// Where it calls.
    hook: Arc<Mutex<Option<(SocketAddr, String)>>>,
}

impl Gateway {
    fn open() -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/send", listener.local_addr().unwrap());
        let gateway = Gateway { url, phones: Arc::default(), hook: Arc::default() };
        let ours = gateway.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let gateway = ours.clone();
                std::thread::spawn(move || gateway.serve(stream));
            }
        });
        for n in 0..6 {
            let ours = gateway.clone();
            std::thread::spawn(move || ours.call(n));
        }
        gateway
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let (mut long, mut line) = (0, String::new());
            loop {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                    long = n.trim().parse().unwrap_or(0);
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; long];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            let id = body.split('&').find_map(|field| field.strip_prefix("id=")).unwrap_or_default().to_owned();
            let numbers: Vec<i64> = id.split('-').filter_map(|it| it.parse().ok()).collect();
            let [run, seq, _] = numbers[..] else { return };
            let key = (run, seq as i32);
            let mut phones = self.phones.lock().unwrap();
            phones.last = Some(Instant::now());
            *phones.asked.entry(key).or_default() += 1;
            while phones.lately.front().is_some_and(|at| at.elapsed() > Duration::from_secs(1)) {
                phones.lately.pop_front();
            }
            if A_SECOND <= phones.lately.len() {
                phones.later.insert(key);
                phones.n_later += 1;
                drop(phones);
                let later = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
                if stream.write_all(later.as_bytes()).is_err() {
                    return;
                }
                continue;
            }
            phones.lately.push_back(Instant::now());
            phones.later.remove(&key);
            let what = does(key.1);
            let answer = match what {
                Does::Nothing => return,
                Does::Well | Does::SentInSilence => {
                    *phones.copies.entry(key).or_default() += 1;
                    // Some come before the answer, some twice, some in another order.
                    let delivered = format!("/status?id={id}&status=delivered");
                    match key.1 % 10 {
                        0 => phones.calls.push(delivered.clone()),
                        1 => phones.calls.push(format!("/status?id={id}&status=sent")),
                        _ => {}
                    }
                    phones.calls.push(delivered);
                    if what == Does::SentInSilence {
                        return;
                    }
                    let said = format!("OK {id}");
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len())
                }
            };
            drop(phones);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Tells what becomes of messages until somebody takes it in.
    fn call(&self, seed: u64) {
        let mut chance = chance(&format!("calls {seed}"));
        let mut open: Option<(SocketAddr, TcpStream)> = None;
        loop {
            let hook = self.hook.lock().unwrap().clone();
            let call = {
                let mut phones = self.phones.lock().unwrap();
                let n = phones.calls.len();
                let call = (n > 0).then(|| phones.calls.swap_remove(chance.random_range(0..n)));
                phones.calling += usize::from(call.is_some());
                call
            };
            let (Some((address, path)), Some(call)) = (hook, call.clone()) else {
                let mut phones = self.phones.lock().unwrap();
                phones.calling -= usize::from(call.is_some());
                phones.calls.extend(call);
                drop(phones);
                nap(5);
                continue;
            };
            let told = open.take().filter(|(at, _)| *at == address).map(|(_, stream)| stream);
            let told = told.or_else(|| TcpStream::connect(address).ok()).and_then(|mut stream| {
                write!(stream, "GET {path}{call} HTTP/1.1\r\nhost: {address}\r\n\r\n").ok()?;
                let mut head = [0; 1024];
                let n = stream.read(&mut head).ok()?;
                head[..n].starts_with(b"HTTP/1.1 200").then_some(stream)
            });
            let mut phones = self.phones.lock().unwrap();
            phones.calling -= 1;
            match told {
                Some(stream) => open = Some((address, stream)),
                None => {
                    phones.calls.push(call);
                    drop(phones);
                    nap(20);
                }
            }
        }
    }

    /// A house whose campaigns go through it.
    fn house(&self) -> House {
        let mut house = House::open(0);
        let mut settings = HttpSettings::of(CUSTOM).unwrap();
        let gateway = settings.gateway.as_mut().unwrap();
        gateway.send.url = self.url.clone();
        gateway.answers.accepted = "status 200 and body matches ^OK".parse().ok();
        let setup = ChannelSetup {
            name: "Gateway".into(),
            sender: "Bugle".into(),
            per_minute: None,
            own: Own::Http(settings),
            typed: Credentials::default(),
        };
        let (admin, conn) = (house.admin, &mut house.conn());
        house.channel =
            bugle::channels::actions::add(conn, Kind::Sms, &setup, &Keyring::default(), admin, Utc::now()).unwrap();
        self.serve_again(&mut house);
        house
    }

    /// One more process, which it calls from now on.
    fn serve_again(&self, house: &mut House) {
        let program = house.another(&house.server.url("bugle"), &[("BUGLE_INTERNAL_GATEWAYS", "127.0.0.0/8")]);
        #[derive(QueryableByName)]
        struct Secret {
            #[diesel(sql_type = diesel::sql_types::Text)]
            secret: String,
        }
        let ChannelId(channel) = house.channel;
        let ask = format!("SELECT secret FROM channels WHERE id = {channel}");
        let secret = diesel::sql_query(ask).get_result::<Secret>(&mut house.conn()).unwrap().secret;
        *self.hook.lock().unwrap() = Some((program.address, format!("/webhooks/{channel}/{secret}")));
        house.processes.push(program);
    }

    fn asked(&self) -> usize {
        self.phones.lock().unwrap().asked.len()
    }

    /// Nobody got it twice, and the ledger says of each what the gateway knows.
    fn settle_up(&self, house: &House, account: &mut Account, campaign: Campaign, skipped: bool) {
        let is_told = |phones: &Phones| phones.calls.is_empty() && phones.calling == 0;
        let told = comes_true(Duration::from_secs(120), || is_told(&self.phones.lock().unwrap()));
        account.must(told, "what became of messages could not be told");
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Integer)]
            seq: i32,
            #[diesel(sql_type = Nullable<SmallInt>)]
            outcome: Option<i16>,
        }
        let RunId(run) = campaign.run;
        let ask = format!("SELECT seq, outcome FROM deliveries WHERE run_id = {run} ORDER BY seq");
        let rows: Vec<Row> = diesel::sql_query(ask).load(&mut house.conn()).unwrap();
        let phones = self.phones.lock().unwrap();
        let (mut unconfirmed, mut unknown) = (0, 0);
        for Row { seq, outcome } in rows {
            let copies = phones.copies.get(&(run, seq)).copied().unwrap_or_default();
            account.must(copies < 2, format!("contact {seq} got it {copies} times"));
            let is = outcome.and_then(Outcome::of_code);
            let asked = phones.asked.contains_key(&(run, seq));
            let right = match (copies, asked) {
                (1, _) => is == Some(Outcome::Delivered),
                (_, true) => {
                    let waited = phones.later.contains(&(run, seq));
                    is == Some(Outcome::Unconfirmed) || (skipped && waited && is != Some(Outcome::Delivered))
                }
                // It was never asked: whoever was to ask died before, or was stopped.
                (_, false) => is == Some(Outcome::Unconfirmed) || (skipped && is != Some(Outcome::Delivered)),
            };
            account.must(right, format!("contact {seq} got {copies}, was asked {asked}, and the ledger says {is:?}"));
            unconfirmed += usize::from(is == Some(Outcome::Unconfirmed));
            unknown += usize::from(copies == 0 && is == Some(Outcome::Unconfirmed));
        }
        account.must(unconfirmed == unknown, format!("{unconfirmed} are unconfirmed, and {unknown} got nothing"));
    }
}

#[test]
fn answers_lost_and_a_process_killed_among_them() {
    let (mut account, mut chance) = (Account::of("gateway loses answers, kill -9 meanwhile"), chance("gateway"));
    let gateway = Gateway::open();
    let mut house = gateway.house();
    let n = tries(10_000, 50_000);
    // Faster than it takes: it says so now and then.
    let campaign = house.campaign(n, 30_000.0);
    for part in [n / 4, n / 2] {
        let there = comes_true(Duration::from_secs(120), || gateway.asked() >= part);
        account.must(there, format!("only {} were sent", gateway.asked()));
        nap(chance.random_range(0..300));
        house.processes.remove(0).kill();
        account.tries += 1;
        gateway.serve_again(&mut house);
    }
    house.finish(&mut account, &[campaign]);
    gateway.settle_up(&house, &mut account, campaign, false);
    let n_later = gateway.phones.lock().unwrap().n_later;
    account.must(n_later > 0, "it was never too fast");
    house.count_rows(&mut account);
    account.close();
}

#[test]
fn stop_among_answers_that_are_lost() {
    let (mut account, mut chance) = (Account::of("gateway loses answers, STOP meanwhile"), chance("gateway stop"));
    for _ in 0..tries(3, 20) {
        let gateway = Gateway::open();
        let mut house = gateway.house();
        let campaign = house.campaign(4_000, 24_000.0);
        let began = comes_true(Duration::from_secs(60), || gateway.asked() > 200);
        account.must(began, "nothing was sent");
        nap(chance.random_range(0..1_000));
        house.stills(&mut account, 0, &format!("/campaigns/{}/stop", campaign.id), PROMPT);
        // What had left before the answer is read by then, however busy this machine is.
        nap(300);
        let (asked, last) = (gateway.asked(), gateway.phones.lock().unwrap().last);
        nap(2_000);
        let later = gateway.phones.lock().unwrap().last;
        account.must(asked == gateway.asked() && last == later, "something left after STOP had answered");
        account.tries += 1;
        let quiet = comes_true(Duration::from_secs(60), || house.open_leases() == 0);
        account.must(quiet, "something is on the wire for ever");
        gateway.settle_up(&house, &mut account, campaign, true);
        house.count_rows(&mut account);
    }
    account.close();
}
