//! Channels that hold a bind to an operator's SMSC: sent through, told by, lost, and taken over by another process.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bugle::deliveries::{Outcome, Show};
use bugle::ids::{ChannelId, RunId};
use bugle::pacing::LatePolicy;
use bugle::providers::smpp::pdu::{Framed, Frames, Message, Pdu, SmscAddress, Tlvs, command, tag};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::desk::{Desk, phones, until};

/// What it does with a message.
#[derive(Clone)]
pub enum Reply {
    Takes(String),
    /// The receipt comes before the answer, and calls it by the other name.
    TakesAndTells(String, String),
    Refuses(u32),
    IsSilent,
    HangsUp,
}

type Replies = Box<dyn FnMut(&Message) -> Reply + Send>;

#[derive(Default)]
struct Seen {
    binds: Vec<u32>,
    /// With their sequence numbers.
    messages: Vec<(u32, Message)>,
    unbinds: usize,
    /// What we answered to what it told.
    answers: Vec<Pdu>,
    connections: Vec<TcpStream>,
}

/// An operator's SMSC.
pub struct Smsc {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    replies: Arc<Mutex<Replies>>,
    /// The status that binds are answered with.
    binds: Arc<Mutex<u32>>,
    /// It does not say that it is there, when it is asked.
    deaf: Arc<AtomicBool>,
}

/// A receipt by the text that the standard suggests.
fn receipt(id: &str, stat: &str) -> Pdu {
    let text =
        format!("id:{id} sub:001 dlvrd:001 submit date:2603020900 done date:2603020901 stat:{stat} err:000 text:");
    let from = SmscAddress { ton: 1, npi: 1, address: phones(1).remove(0) };
    let it = Message { from, esm_class: 0x04, short: text.into_bytes(), ..Message::default() };
    Pdu::new(command::DELIVER_SM, 900, it.body())
}

fn written(from: &str, esm_class: u8, data_coding: u8, short: &[u8]) -> Pdu {
    let from = SmscAddress { ton: 1, npi: 1, address: from.to_owned() };
    let it = Message { from, esm_class, data_coding, short: short.to_vec(), ..Message::default() };
    Pdu::new(command::DELIVER_SM, 901, it.body())
}

impl Smsc {
    pub fn open() -> Smsc {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut n = 0;
        let replies: Replies = Box::new(move |_| {
            n += 1;
            Reply::Takes(n.to_string())
        });
        let smsc = Smsc {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
            replies: Arc::new(Mutex::new(replies)),
            binds: Arc::default(),
            deaf: Arc::default(),
        };
        let (seen, replies, binds) = (smsc.seen.clone(), smsc.replies.clone(), smsc.binds.clone());
        let deaf = smsc.deaf.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), seen, replies, binds) = (stream, seen.clone(), replies.clone(), binds.clone()) else {
                    return;
                };
                let deaf = deaf.clone();
                std::thread::spawn(move || serve(stream, &seen, &replies, &binds, &deaf));
            }
        });
        smsc
    }

    pub fn replies(&self, how: impl FnMut(&Message) -> Reply + Send + 'static) {
        *self.replies.lock().unwrap() = Box::new(how);
    }

    pub fn n_messages(&self) -> usize {
        self.seen.lock().unwrap().messages.len()
    }

    pub fn messages(&self) -> Vec<Message> {
        self.seen.lock().unwrap().messages.iter().map(|(_, it)| it.clone()).collect()
    }

    pub fn n_binds(&self) -> usize {
        self.seen.lock().unwrap().binds.len()
    }

    /// Says it on the connection that was bound last.
    fn says(&self, pdu: &Pdu) {
        let stream = self.seen.lock().unwrap().connections.last().unwrap().try_clone().unwrap();
        (&stream).write_all(&pdu.octets()).unwrap();
    }

    /// The same, and waits until it is answered. Returns the status.
    async fn tells(&self, pdu: &Pdu) -> u32 {
        let n = self.seen.lock().unwrap().answers.len();
        self.says(pdu);
        until("it is answered", || n < self.seen.lock().unwrap().answers.len()).await;
        self.seen.lock().unwrap().answers[n].status
    }

    fn answers(&self, sequence: u32, id: &str) {
        let body = [id.as_bytes(), b"\0"].concat();
        self.says(&Pdu { command: command::SUBMIT_SM | command::ANSWER, status: 0, sequence, body });
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Seen>,
    replies: &Mutex<Replies>,
    binds: &Mutex<u32>,
    deaf: &AtomicBool,
) -> Option<()> {
    let (mut frames, mut buffer) = (Frames::default(), [0; 4096]);
    let say = |pdu: Pdu| (&stream).write_all(&pdu.octets()).ok();
    loop {
        let n = (&stream).read(&mut buffer).ok().filter(|n| *n > 0)?;
        frames.feed(&buffer[..n]);
        while let Some(Framed::Whole(pdu)) = frames.take() {
            match pdu.command {
                command::BIND_TRANSCEIVER | command::BIND_RECEIVER | command::BIND_TRANSMITTER => {
                    let status = *binds.lock().unwrap();
                    let mut seen = seen.lock().unwrap();
                    if status == 0 {
                        seen.connections.push(stream.try_clone().unwrap());
                    }
                    seen.binds.push(pdu.command);
                    say(Pdu { body: b"smsc\0".to_vec(), ..pdu.answer(status) })?;
                }
                command::SUBMIT_SM => {
                    let message = Message::read(&pdu).unwrap();
                    let reply = (replies.lock().unwrap())(&message);
                    seen.lock().unwrap().messages.push((pdu.sequence, message));
                    let takes = |id: String| Pdu { body: [id.as_bytes(), b"\0"].concat(), ..pdu.answer(0) };
                    match reply {
                        Reply::Takes(id) => say(takes(id))?,
                        Reply::TakesAndTells(id, told) => {
                            say(receipt(&told, "DELIVRD"))?;
                            say(takes(id))?;
                        }
                        Reply::Refuses(status) => say(pdu.answer(status))?,
                        Reply::IsSilent => {}
                        Reply::HangsUp => {
                            let _ = stream.shutdown(Shutdown::Both);
                            return None;
                        }
                    }
                }
                command::UNBIND => {
                    seen.lock().unwrap().unbinds += 1;
                    say(pdu.answer(0))?;
                }
                command::ENQUIRE_LINK if deaf.load(Ordering::SeqCst) => {}
                _ if pdu.is_answer() => seen.lock().unwrap().answers.push(pdu),
                _ => say(pdu.answer(0))?,
            }
        }
    }
}

/// TLS in front of a port, with a certificate that only who knows its authority believes. Returns the port to call.
pub fn tls_before(port: u16) -> u16 {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../fixtures/tls/smsc.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/tls/smsc.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let outside = listener.local_addr().unwrap().port();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut theirs) = acceptor.accept(stream).await else { return };
                let Ok(mut ours) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut theirs, &mut ours).await;
            });
        }
    };
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve)
    });
    outside
}

/// The form of a bind.
fn form<'a>(port: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("kind", "sms"),
        ("provider", "smpp"),
        ("name", "Operator"),
        ("sender", "Bugle"),
        ("per_minute", ""),
        ("host", "127.0.0.1"),
        ("port", port),
        ("system_id", "bugle"),
        ("password", "s3cret"),
        ("bind", "transceiver"),
        ("alphabet", "gsm"),
        ("long", "udh"),
        ("ids", "as-it-is"),
        ("window", "10"),
        ("answer_seconds", "1"),
    ];
    for (name, value) in more {
        fields.retain(|(it, _)| it != name);
        fields.push((name, value));
    }
    fields
}

/// A desk whose campaigns go by a bind.
async fn with_smsc(more: &[(&str, &str)]) -> (Desk, Smsc) {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let smsc = Smsc::open();
    let added = desk.fill_in("/channels", &form(&smsc.port.to_string(), more)).await;
    assert_eq!(added.status, 303, "{}", added.html);
    desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'smpp'"));
    (desk, smsc)
}

impl Desk {
    /// Ticks until it is so: between two lies real time in which a bind is made, or an answer is not there.
    pub async fn ticks_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
            self.later(2);
            self.tick().await;
            actix_web::rt::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn n_delivered(&self, run: RunId) -> usize {
        self.ledger(run, Show::Outcome(Outcome::Delivered)).len()
    }
}

#[actix_web::test]
async fn a_campaign_leaves_by_a_bind_and_receipts_find_it_before_its_answer_and_in_another_base() {
    let (desk, smsc) = with_smsc(&[("ids", "hex-then-decimal")]).await;
    let to = phones(3);
    let first = to[0].clone();
    smsc.replies(move |it| match it.to.address == first {
        true => Reply::TakesAndTells("7f00aa01".to_owned(), "2130749953".to_owned()),
        false => Reply::Takes(format!("33e9517{}", &it.to.address[it.to.address.len() - 1..])),
    });
    let (.., run) = desk.campaign("Spring", 3, "09:00-11:00", 6_000.0).await;
    desk.ticks_until("all are accepted", || desk.counts(run).accepted + desk.counts(run).delivered == 3).await;
    let seen = smsc.messages();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[0].from.ton, seen[0].to.ton, seen[0].registered, seen[0].data_coding), (5, 1, 1, 0));
    assert_eq!(seen[0].validity, "260302110000000+", "it is of no use after the window");
    assert!(seen.iter().all(|it| it.short.starts_with(b"Hello ")), "{seen:?}");

    desk.ticks_until("the receipt that came first counts", || desk.n_delivered(run) == 1).await;
    let decimal = |n: u32| format!("{:010}", 0x33E9_5170_u32 + n);
    assert_eq!(smsc.tells(&receipt(&decimal(1), "DELIVRD")).await, 0);
    assert_eq!(smsc.tells(&receipt(&decimal(2), "UNDELIV")).await, 0);
    assert_eq!(smsc.tells(&receipt("99", "DELIVRD")).await, 0, "of none that is ours");
    assert_eq!((desk.n_delivered(run), desk.counts(run).failed), (2, 1));
    assert_eq!(smsc.n_binds(), 1);
}

#[actix_web::test]
async fn people_write_over_the_bind_and_a_letter_that_was_cut_in_two_is_whole() {
    let (desk, smsc) = with_smsc(&[("region", "IE")]).await;
    desk.ticks_until("it is bound", || smsc.n_binds() == 1).await;
    let said = || desk.lines("SELECT body AS line FROM messages WHERE author = 'contact' ORDER BY id");
    assert_eq!(smsc.tells(&written("353861234567", 0, 0, b"gr\x7e\x00 \x1b\x65")).await, 0);
    assert_eq!(smsc.tells(&written("353861234567", 0x40, 8, b"\x06\x08\x04\x1a\x2b\x02\x02\xde\x31\x00!")).await, 0);
    assert_eq!(said(), ["grü@ €"]);
    let first = written("353861234567", 0x40, 8, b"\x06\x08\x04\x1a\x2b\x02\x01\x00a\xd8\x3d");
    assert_eq!(smsc.tells(&first).await, 0);
    assert_eq!(smsc.tells(&first).await, 0, "told again");
    assert_eq!(said(), ["grü@ €", "a😱!"]);
    // The same words a moment later are the same message.
    smsc.tells(&written("353861234567", 0, 0, b"ok")).await;
    smsc.tells(&written("353861234567", 0, 0, b"ok")).await;
    assert_eq!(said().len(), 3);

    // What cannot be written down is to come again, and does.
    desk.sql("ALTER TABLE messages ADD CONSTRAINT nothing_new CHECK (body <> 'later')");
    assert_eq!(smsc.tells(&written("353861234567", 0, 0, b"later")).await, 0x64);
    desk.sql("ALTER TABLE messages DROP CONSTRAINT nothing_new");
    assert_eq!(smsc.tells(&written("353861234567", 0, 0, b"later")).await, 0);
    assert_eq!(said().last().unwrap(), "later");
    // A command that nobody knows, a length that cannot be, and one that asks whether we are there.
    assert_eq!(smsc.tells(&Pdu::new(0x77, 5, b"?".to_vec())).await, 3);
    assert_eq!(smsc.tells(&Pdu::new(command::ENQUIRE_LINK, 6, Vec::new())).await, 0);
    assert_eq!(smsc.n_binds(), 1);
}

#[actix_web::test]
async fn what_is_refused_for_now_waits_and_what_nobody_answers_is_unconfirmed() {
    let (desk, smsc) = with_smsc(&[]).await;
    smsc.replies(|_| Reply::Refuses(0x58));
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    desk.ticks_until("it was asked", || !smsc.messages().is_empty()).await;
    assert_eq!((desk.counts(run).failed, desk.counts(run).unconfirmed), (0, 0));
    let fast = "SELECT count(*) AS n FROM channel_incidents WHERE trouble = 'rate-limited' AND code = '0x00000058'";
    assert_eq!(desk.number(fast), 1);
    smsc.replies(|_| Reply::Takes("1".to_owned()));
    desk.ticks_until("it goes on", || desk.counts(run).accepted == 1).await;

    // One that our sender is wrong for burns nobody; one whose number is wrong is told so.
    let to = phones(9);
    let bad = to[1].clone();
    smsc.replies(move |it| Reply::Refuses(if it.to.address == bad { 0x0B } else { 0x0A }));
    let late = bugle::pacing::LatePolicy::CatchUp;
    let (.., run) = desk.campaign_to("Summer", &to[1..3], "09:00-11:00", 6_000.0, late).await;
    desk.ticks_until("both were asked", || smsc.messages().len() >= 4).await;
    assert_eq!((desk.ledger(run, Show::Outcome(Outcome::Invalid)).len(), desk.counts(run).failed), (1, 1));
    smsc.replies(|_| Reply::Takes("2".to_owned()));
    desk.ticks_until("the other goes on", || desk.counts(run).accepted == 1).await;

    smsc.replies(|_| Reply::IsSilent);
    let (.., run) = desk.campaign_to("Autumn", &to[3..4], "09:00-11:00", 6_000.0, late).await;
    desk.ticks_until("nobody knows", || desk.counts(run).unconfirmed == 1).await;
    // Its answer comes after all, and then its receipt.
    let (sequence, _) = smsc.seen.lock().unwrap().messages.last().unwrap().clone();
    smsc.answers(sequence, "late");
    until("it counts as accepted", || desk.counts(run).unconfirmed == 0).await;
    assert_eq!(smsc.tells(&receipt("late", "DELIVRD")).await, 0);
    assert_eq!(desk.n_delivered(run), 1);

    // The connection breaks with one outstanding; the next one leaves by a new bind.
    smsc.replies(|_| Reply::HangsUp);
    let (.., run) = desk.campaign_to("Winter", &to[4..5], "09:00-11:00", 6_000.0, late).await;
    desk.ticks_until("nobody knows", || desk.counts(run).unconfirmed == 1).await;
    let n = smsc.messages().len();
    smsc.replies(|_| Reply::Takes("3".to_owned()));
    let (.., run) = desk.campaign_to("Next", &to[5..6], "09:00-11:00", 6_000.0, late).await;
    desk.ticks_until("it leaves by a new bind", || desk.counts(run).accepted == 1).await;
    assert_eq!((smsc.messages().len(), smsc.n_binds()), (n + 1, 2), "what is unknown is not sent again");
}

#[actix_web::test]
async fn a_long_text_is_delivered_with_its_last_part_and_unknown_when_it_is_taken_in_part() {
    let (desk, smsc) = with_smsc(&[]).await;
    let mut n = 0;
    smsc.replies(move |_| {
        n += 1;
        Reply::Takes(format!("p{n}"))
    });
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    desk.sql(&format!("UPDATE schedule_runs SET body = '{}€' WHERE id = {run}", "a".repeat(305)));
    desk.ticks_until("it is accepted", || desk.counts(run).accepted == 1).await;
    let parts = smsc.messages();
    assert_eq!(
        parts.iter().map(|it| it.short.len()).collect::<Vec<_>>(),
        [159, 158, 8],
        "both septets of a sign stay together"
    );
    assert!(parts.iter().all(|it| it.esm_class == 0x40 && it.short[..3] == [5, 0, 3] && it.short[4] == 3));
    assert_eq!(parts.iter().map(|it| it.short[5]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(smsc.tells(&receipt("p1", "DELIVRD")).await, 0);
    assert_eq!((desk.n_delivered(run), desk.number("SELECT count(*) AS n FROM parked_receipts")), (0, 0));
    assert_eq!(smsc.tells(&receipt("p3", "DELIVRD")).await, 0);
    assert_eq!(desk.n_delivered(run), 1);

    let mut n = 0;
    smsc.replies(move |_| {
        n += 1;
        if n == 2 { Reply::Refuses(0x45) } else { Reply::Takes(format!("q{n}")) }
    });
    let (.., run) =
        desk.campaign_to("Summer", &phones(2)[1..], "09:00-11:00", 6_000.0, bugle::pacing::LatePolicy::CatchUp).await;
    desk.sql(&format!("UPDATE schedule_runs SET body = '{}' WHERE id = {run}", "a".repeat(307)));
    desk.ticks_until("nobody knows", || desk.counts(run).unconfirmed == 1).await;
    assert_eq!(smsc.messages().len(), 6, "none of it is sent again");
}

#[actix_web::test]
async fn nothing_begins_after_stop_though_it_waited_for_a_place_in_the_window() {
    let (desk, smsc) = with_smsc(&[("window", "1"), ("answer_seconds", "25")]).await;
    desk.ticks_until("it is bound", || smsc.n_binds() == 1).await;
    smsc.replies(|_| Reply::IsSilent);
    let (campaign, _, run) = desk.campaign("Spring", 5, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.engine.dispatcher.tick().await.unwrap();
    until("one is on the wire", || smsc.messages().len() == 1).await;
    let stopped = desk.submit(&format!("/campaigns/{campaign}/stop")).await;
    assert_eq!(stopped.status, 303);
    // Now there is a place.
    let (sequence, _) = smsc.seen.lock().unwrap().messages[0].clone();
    smsc.answers(sequence, "1");
    desk.engine.dispatcher.outbox.idle().await;
    desk.ticks_until("what was on the wire is written down", || desk.counts(run).accepted == 1).await;
    assert_eq!(smsc.messages().len(), 1);
}

#[actix_web::test]
async fn one_process_holds_the_bind_and_another_takes_it_over_when_the_first_is_gone() {
    let (desk, smsc) = with_smsc(&[]).await;
    desk.ticks_until("it is bound", || smsc.n_binds() == 1).await;
    let other = desk.another_engine();
    let (.., run) = desk.campaign("Spring", 2, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    assert_eq!(other.tick().await.unwrap(), 0, "it claims nothing");
    assert_eq!((smsc.n_binds(), smsc.messages().len()), (1, 0));
    desk.ticks_until("the holder sends", || desk.counts(run).accepted == 2).await;

    // The first says nothing for so long that its hold is over.
    desk.later(11);
    let to = phones(4);
    let late = bugle::pacing::LatePolicy::CatchUp;
    let (.., run) = desk.campaign_to("Summer", &to[2..], "09:00-11:00", 6_000.0, late).await;
    desk.later(2);
    let began = std::time::Instant::now();
    while desk.counts(run).accepted < 2 {
        assert!(began.elapsed() < Duration::from_secs(30));
        other.tick().await.unwrap();
        other.outbox.idle().await;
        desk.later(1);
    }
    assert_eq!(smsc.n_binds(), 2);
    // Back again, it finds that another holds the line: it lets go of its bind and sends nothing.
    desk.tick().await;
    until("it has unbound", || smsc.seen.lock().unwrap().unbinds == 1).await;
    let (.., run) = desk.campaign("Autumn", 1, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    assert_eq!((desk.counts(run).accepted, smsc.messages().len()), (0, 4));
    // Shut down in good order, the other leaves it at once.
    other.lines.let_go(&desk.app).await;
    desk.ticks_until("it sends again", || desk.counts(run).accepted == 1).await;
}

#[actix_web::test]
async fn a_bind_is_set_up_checked_and_tried_and_a_wrong_password_burns_nobody() {
    let (desk, smsc) = with_smsc(&[("bind", "pair"), ("region", "IE")]).await;
    let path = format!("/channels/{}", desk.channel);
    let page = desk.visit(&path).await;
    page.shows("SMSC default alphabet");
    page.lacks("s3cret");
    page.lacks("It has not called yet");
    desk.visit("/channels/add").await.shows("/channels/new?provider=smpp");
    desk.visit("/channels/new?provider=smpp").await.shows("Bind as");
    let port = smsc.port.to_string();
    let refused = desk.fill_in(&path, &form(&port, &[("host", ""), ("window", "0"), ("codes", "0x94: funds")])).await;
    assert_eq!(refused.status, 422);
    refused.shows("Say where the SMSC is");
    refused.shows("A whole number from 1 to 1000.");
    refused.shows("“0x94: funds” begins with no status, such as 0x00000094.");

    let check = async || {
        let checked = desk.submit(&format!("{path}/check")).await;
        desk.lands(checked).await
    };
    check().await.shows("takes the bind of bugle.");
    assert_eq!(smsc.seen.lock().unwrap().binds, [command::BIND_TRANSMITTER, command::BIND_RECEIVER]);
    let bound = || smsc.n_binds() == 4;
    desk.ticks_until("both are bound", bound).await;
    check().await.shows("Bound to 127.0.0.1:");
    let test = [("to", "086 123 4567"), ("text", "Hello")];
    let sent = desk.fill_in(&format!("{path}/test"), &test).await;
    desk.lands(sent).await.shows("The provider took it, as 1.");

    // The password is changed on the other side: the next bind is refused.
    *smsc.binds.lock().unwrap() = 0x0E;
    for it in &smsc.seen.lock().unwrap().connections {
        let _ = it.shutdown(Shutdown::Both);
    }
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    let refused = "SELECT count(*) AS n FROM channel_incidents WHERE trouble = 'credentials' AND ended_at IS NULL";
    desk.ticks_until("it is noted", || desk.number(refused) == 1).await;
    check().await.shows("Not ready: 0x0000000E: the password is wrong");
    assert_eq!((desk.counts(run).failed, desk.counts(run).unconfirmed), (0, 0));
    *smsc.binds.lock().unwrap() = 0;
    desk.ticks_until("it goes on by itself", || desk.counts(run).accepted == 1).await;
}

#[actix_web::test]
async fn a_receipt_is_known_by_its_fields_alone_and_comes_by_the_bind_that_receives() {
    let (desk, smsc) = with_smsc(&[("bind", "pair")]).await;
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    desk.ticks_until("it is accepted", || desk.counts(run).accepted == 1).await;
    until("both are bound", || smsc.n_binds() == 2).await;
    let from = SmscAddress { ton: 1, npi: 1, address: phones(1).remove(0) };
    let fields = vec![(tag::RECEIPTED_MESSAGE_ID, b"1".to_vec()), (tag::MESSAGE_STATE, vec![2])];
    let it = Message { from, esm_class: 0x04, short: b"1 2".to_vec(), tlvs: Tlvs(fields), ..Message::default() };
    assert_eq!(smsc.tells(&Pdu::new(command::DELIVER_SM, 7, it.body())).await, 0);
    assert_eq!(desk.n_delivered(run), 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE author = 'contact'"), 0);
}

#[actix_web::test]
async fn an_smsc_that_is_asked_and_says_nothing_is_left_and_what_it_had_is_unconfirmed() {
    let (desk, smsc) = with_smsc(&[("enquire_seconds", "1"), ("answer_seconds", "25")]).await;
    desk.ticks_until("it is bound", || smsc.n_binds() == 1).await;
    smsc.replies(|_| Reply::IsSilent);
    smsc.deaf.store(true, Ordering::SeqCst);
    let (.., run) = desk.campaign("Spring", 2, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.engine.dispatcher.tick().await.unwrap();
    until("both are on the wire", || smsc.n_messages() == 2).await;
    // The clock stands still: it is no lease that runs out.
    until("nobody knows", || desk.counts(run).unconfirmed == 2).await;
    let why = desk.lines(&format!("SELECT DISTINCT detail AS line FROM deliveries WHERE run_id = {run}"));
    assert!(why.len() == 1 && why[0].contains("enquire_link"), "{why:?}");

    smsc.replies(|_| Reply::Takes("1".to_owned()));
    smsc.deaf.store(false, Ordering::SeqCst);
    let (.., next) = desk.campaign_to("Next", &phones(3)[2..], "09:00-11:00", 6_000.0, LatePolicy::CatchUp).await;
    desk.ticks_until("it leaves by a new bind", || desk.counts(next).accepted == 1).await;
    assert_eq!((smsc.n_binds(), smsc.n_messages(), desk.counts(run).unconfirmed), (2, 3, 2), "nothing is sent again");
}

#[actix_web::test]
async fn an_smsc_whose_certificate_nobody_vouches_for_is_told_no_password() {
    let (desk, smsc) = with_smsc(&[]).await;
    let path = format!("/channels/{}", desk.channel);
    let port = tls_before(smsc.port).to_string();
    let saved = desk.fill_in(&path, &form(&port, &[("tls", "yes")])).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    for _ in 0..5 {
        desk.later(6);
        desk.tick().await;
    }
    let checked = desk.submit(&format!("{path}/check")).await;
    let page = desk.lands(checked).await;
    page.shows("Not ready:");
    page.shows("certificate");
    assert_eq!((smsc.n_binds(), desk.counts(run).failed, desk.counts(run).unconfirmed), (0, 0, 0));
}
