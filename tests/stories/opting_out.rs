//! Nothing to somebody begins to leave after their opt-out or block was acknowledged or shown,
//! also with an engine that stands still between its claim and its sends.

use std::time::{Duration, Instant};

use actix_web::test::TestRequest;
use bugle::access::Role;
use bugle::channels::setups;
use bugle::conversations::replies;
use bugle::deliveries::actions::Leave;
use bugle::deliveries::claim::Claimer;
use bugle::deliveries::{self, BEGIN_WITHIN, Claim, Fate, Outcome, Settled};
use bugle::ids::RunId;
use bugle::lists;
use bugle::pacing::LatePolicy;
use bugle::providers::sandbox::{News, webhook};
use bugle::providers::{Inbound, Kind};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use futures_util::future::{LocalBoxFuture, join_all};

use crate::desk::{Answer, Desk, phones, until};
use crate::signing_in::{PASSWORD, person};

impl Desk {
    /// Another process claims everybody who is due, and then stands still.
    pub fn claims(&self, run: RunId) -> Claim {
        let by = Claimer { process: uuid::Uuid::new_v4(), now: self.app.clock.now() };
        let leave = Leave { most: 100, part: None, n_fields: self.n_fields(run) };
        self.db(|conn| deliveries::actions::claim(conn, run, &leave, by).unwrap()).claims.remove(0)
    }

    fn settles(&self, claim: &Claim) {
        self.db(|conn| self.settles_with(conn, claim));
    }

    pub fn settles_with(&self, conn: &mut PgConnection, claim: &Claim) {
        let settled = |seq| Settled {
            lease: claim.lease,
            run: claim.run,
            seq,
            attempt: claim.attempt,
            refusals: 0,
            fate: Fate::Accepted { provider_ref: None },
            begun_at: Some(self.app.clock.now()),
            opens: false,
        };
        let results: Vec<Settled> = claim.contacts.iter().map(|contact| settled(contact.seq)).collect();
        let now = self.app.clock.now();
        deliveries::actions::settle(conn, &results, uuid::Uuid::new_v4(), 0, now).unwrap();
    }

    /// The provider tells in a signed call what somebody wrote.
    async fn is_told(&self, id: &str, from: &str, text: &str) -> Answer {
        let inbound = Inbound { id: id.to_owned(), from: from.to_owned(), text: text.to_owned(), ..Inbound::default() };
        let secret = self.db(|conn| setups::find(conn, self.channel).unwrap().secret);
        let (body, signature) = webhook(&secret, &[News::Inbound(Box::new(inbound))]);
        let path = format!("/webhooks/{}", self.channel);
        self.send(TestRequest::post().uri(&path).insert_header(("X-Signature-256", signature)).set_payload(body)).await
    }

    fn conversation(&self, phone: &str) -> i64 {
        let of = self.contact(phone);
        self.number(&format!("SELECT max(id) AS n FROM conversations WHERE contact_id = {of}"))
    }
}

/// `n` numbers that pages take for such, at which the carrier does nothing special.
fn numbers(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("120255501{n:02}")).collect()
}

/// What was done, how it was answered, and how long that took.
type Timed<'a> = LocalBoxFuture<'a, (&'static str, u16, Duration)>;

fn timed<'a>(what: &'static str, answer: impl Future<Output = Answer> + 'a) -> Timed<'a> {
    Box::pin(async move {
        let began = Instant::now();
        let answer = answer.await;
        (what, answer.status, began.elapsed())
    })
}

#[actix_web::test]
async fn whoever_opts_out_is_the_person_whom_a_file_names_however_the_provider_writes_the_number() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer\n+14455550107,1\n+525512345679,2\n+5531988123457,3\n").await;
    for (n, from) in ["1 445 555 0107", "+52 1 55 1234 5679", "553188123457", "12345"].iter().enumerate() {
        assert_eq!(desk.is_told(&format!("m{n}"), from, "STOP").await.status, 204, "{from}");
    }
    assert_eq!(
        desk.lines("SELECT address || ' ' || (opted_out_at IS NOT NULL) AS line FROM contacts ORDER BY id"),
        ["14455550107 true", "525512345679 true", "5531988123457 true", "12345 true"],
        "a short code is nobody's number and stays what it is"
    );
}

#[actix_web::test]
async fn opt_outs_and_blocks_are_answered_and_shown_when_nothing_claimed_before_can_begin() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let to = numbers(12);
    person(&desk, "ben@example.org", Role::Admin);
    let other = desk.sign_in("ben@example.org", PASSWORD).await;
    // Conversations to block and to decide in.
    desk.hears(&to[4], "hello").await;
    desk.hears(&to[5], "leave me alone").await;
    desk.sql("UPDATE contacts SET doubted_at = NULL");
    let (.., run) = desk.campaign_to("Spring", &to, "09:00-18:00", 60_000.0, LatePolicy::CatchUp).await;
    desk.later(1);
    bugle::engine::starter::tick(&desk.app).await.unwrap();
    let claim = desk.claims(run);
    assert_eq!(claim.contacts.iter().filter(|contact| contact.barred.is_none()).count(), 12);
    desk.hears_as("told-before", &to[2], "STOP");
    desk.hears_as("shown", &to[7], "STOP");
    desk.hears_as("listed", &to[8], "Please stop texting me");

    let (block, decide) = (desk.conversation(&to[4]), desk.conversation(&to[5]));
    let (block, decide) = (format!("/inbox/{block}/block"), format!("/inbox/{decide}/opted-out"));
    let (contact, thread) = (desk.contact(&to[7]), desk.conversation(&to[7]));
    let (contact, thread) = (format!("/contacts/{contact}"), format!("/inbox/{thread}"));
    let (list, import) = (format!("/contacts?q={}", to[8]), format!("{}\n{}\n", to[9], to[10]));
    let now = desk.app.clock.now();
    let by_hand = desk.db(|conn| lists::actions::create(conn, "Some", Kind::Sms, &to[8..9], desk.admin, now).unwrap());
    let by_hand = format!("/lists/{by_hand}");
    let address = format!("+{}", to[3]);
    let entry = [("kind", "sms"), ("address", address.as_str())];
    let answered = join_all([
        timed("a word", desk.is_told("told-1", &to[0], "STOP")),
        timed("words in doubt", desk.is_told("told-2", &to[1], "Please stop texting me")),
        timed("a word told again", desk.is_told("told-before", &to[2], "STOP")),
        timed("blocked on the list", desk.fill_in("/blocklist", &entry)),
        timed("blocked in the inbox", desk.submit(&block)),
        timed("decided in the inbox", desk.submit(&decide)),
        timed("imported", desk.upload("/blocklist/import", "out.csv", import.as_bytes(), &[("kind", "sms")])),
        timed("the contact's page", desk.visit(&contact)),
        timed("the contact's conversation", desk.visit(&thread)),
        timed("contacts", desk.visit(&list)),
        timed("contacts as a table", desk.visit("/contacts.csv")),
        timed("a list they are on", desk.visit(&by_hand)),
        timed("the inbox", desk.visit("/inbox")),
        timed("the proof", desk.visit("/settings/consent")),
        // Two tables are what one person may take away at a time.
        timed("the proof as a table", desk.send(TestRequest::get().uri("/settings/consent/changes.csv").cookie(other))),
        timed("the blocklist", desk.visit("/blocklist")),
        timed("the blocklist as a table", desk.visit("/blocklist.csv")),
    ])
    .await;
    for (what, status, took) in answered {
        assert!(status < 400 && BEGIN_WITHIN <= took, "{what}: {status} after {took:?}");
    }
    // Who is not on the wire is not waited for, and nobody is once it is quiet.
    let (_, status, took) = timed("a stranger", desk.is_told("told-3", "12025559999", "STOP")).await;
    assert!(status == 204 && took < BEGIN_WITHIN, "{status} after {took:?}");
    desk.settles(&claim);
    let (_, status, took) = timed("told once more", desk.is_told("told-1", &to[0], "STOP")).await;
    assert!(status == 204 && took < BEGIN_WITHIN, "{status} after {took:?}");
}

#[actix_web::test]
async fn a_reply_that_is_claimed_is_waited_for_and_the_confirmation_is_not() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (it, other) = (&numbers(2)[0], &numbers(2)[1]);
    for phone in [it, other] {
        desk.hears(phone, "hello").await;
    }
    for phone in [it, other] {
        let thread = format!("/inbox/{}/reply", desk.conversation(phone));
        let answer = desk.fill_in(&thread, &[("body", "Good morning."), ("seen", "9999999")]).await;
        assert_eq!(answer.status, 303, "{}", answer.html);
    }
    let by = || Claimer { process: uuid::Uuid::new_v4(), now: desk.app.clock.now() };
    let claimed = desk.db(|conn| replies::claim(conn, desk.channel, 10, by()).unwrap());
    assert_eq!(claimed.len(), 2);
    let settles = |reply: &replies::Reply| {
        let fate = Fate::Accepted { provider_ref: None };
        let settled = replies::SettledReply { id: reply.id, attempt: reply.attempt, fate };
        desk.db(|conn| replies::settle(conn, &[settled], desk.app.clock.now()).unwrap());
    };
    let (to_it, to_other) = match claimed[0].address == *it {
        true => (&claimed[0], &claimed[1]),
        false => (&claimed[1], &claimed[0]),
    };
    // What all are shown waits for a reply as well, to somebody in doubt or to one who has opted out.
    desk.hears_as("doubted", other, "Please stop texting me");
    let (_, status, took) = timed("the inbox", desk.visit("/inbox")).await;
    assert!(status == 200 && BEGIN_WITHIN <= took, "in doubt: {status} after {took:?}");
    settles(to_other);
    let (_, status, took) = timed("a word", desk.is_told("told-1", it, "STOP")).await;
    assert!(status == 204 && BEGIN_WITHIN <= took, "{status} after {took:?}");
    let (_, status, took) = timed("the inbox", desk.visit("/inbox")).await;
    assert!(status == 200 && BEGIN_WITHIN <= took, "opted out: {status} after {took:?}");

    settles(to_it);
    let confirmation = desk.db(|conn| replies::claim(conn, desk.channel, 10, by()).unwrap());
    assert!(confirmation.len() == 1 && confirmation[0].barred.is_none());
    let (_, status, took) = timed("told again", desk.is_told("told-1", it, "STOP")).await;
    assert!(status == 204 && took < BEGIN_WITHIN, "{status} after {took:?}");
}

/// Commits that wait at the last moment, until let go.
pub struct Turnstile(PgConnection);

impl Turnstile {
    /// `event`: on which table's rows what happens.
    pub fn before(desk: &Desk, event: &str) -> Turnstile {
        Turnstile::at(desk, event, "INITIALLY DEFERRED")
    }

    /// Where those who pass wait as soon as it has happened, and not only when they commit.
    pub fn after(desk: &Desk, event: &str) -> Turnstile {
        Turnstile::at(desk, event, "INITIALLY IMMEDIATE")
    }

    fn at(desk: &Desk, event: &str, when: &str) -> Turnstile {
        desk.db(|conn| {
            conn.batch_execute(&format!(
                "CREATE FUNCTION wait_at_the_turnstile() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END';
                 CREATE CONSTRAINT TRIGGER turnstile AFTER {event} DEFERRABLE {when}
                     FOR EACH ROW EXECUTE FUNCTION wait_at_the_turnstile()"
            ))
            .unwrap();
        });
        let mut conn = PgConnection::establish(&desk.url).unwrap();
        conn.batch_execute("SELECT pg_advisory_lock(77)").unwrap();
        Turnstile(conn)
    }

    pub async fn somebody_waits(&self, desk: &Desk) {
        let waits = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until("somebody is about to commit", || desk.number(waits) > 0).await;
    }

    pub fn let_go(mut self) {
        self.0.batch_execute("SELECT pg_advisory_unlock(77)").unwrap();
    }
}

#[actix_web::test]
async fn a_claim_that_commits_after_an_opt_out_does_not_pass_it_by() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let to = numbers(3);
    let (.., run) = desk.campaign_to("Spring", &to, "09:00-18:00", 60_000.0, LatePolicy::CatchUp).await;
    desk.later(1);
    bugle::engine::starter::tick(&desk.app).await.unwrap();
    let turnstile = Turnstile::before(&desk, "INSERT ON leases");
    let engine = desk.another_engine();
    let tick = actix_web::rt::spawn(async move {
        engine.tick().await.unwrap();
        engine.outbox.idle().await;
    });
    turnstile.somebody_waits(&desk).await;
    assert_eq!(desk.is_told("told-1", &to[0], "STOP").await.status, 204);
    let entry = [("kind", "sms"), ("address", &format!("+{}", to[1]))];
    assert_eq!(desk.fill_in("/blocklist", &entry).await.status, 303);
    turnstile.let_go();
    tick.await.unwrap();

    let reached: Vec<String> = desk.received().into_iter().map(|it| it.phone).collect();
    assert_eq!(reached, [to[2].clone()], "nobody else began after the answer");
    let counts = desk.counts(run);
    assert_eq!((counts.skipped, counts.accepted), (2, 1));
    let outcome = |code: i16| desk.number(&format!("SELECT count(*) AS n FROM deliveries WHERE outcome = {code}"));
    assert_eq!((outcome(Outcome::OptedOut.code()), outcome(Outcome::Blocklisted.code())), (1, 1));
}

#[actix_web::test]
async fn a_reply_whose_claim_commits_after_an_opt_out_does_not_pass_it_by() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let it = &phones(1)[0];
    desk.hears(it, "hello").await;
    let thread = format!("/inbox/{}/reply", desk.conversation(it));
    desk.fill_in(&thread, &[("body", "Good morning."), ("seen", "9999999")]).await;
    let turnstile = Turnstile::before(&desk, "UPDATE ON messages");
    let talker = desk.engine.talker.clone();
    let tick = actix_web::rt::spawn(async move {
        talker.tick().await.unwrap();
        talker.outbox.idle().await;
    });
    turnstile.somebody_waits(&desk).await;
    assert_eq!(desk.is_told("told-1", it, "STOP").await.status, 204);
    turnstile.let_go();
    tick.await.unwrap();
    desk.talk().await;
    assert_eq!(desk.phone(it), ["You will get no more messages from us. Reply START to get them again."]);
}

#[actix_web::test]
async fn a_notice_that_is_older_than_the_opt_out_or_the_block_stays_here() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (out, blocked) = (&phones(2)[0], &phones(2)[1]);
    desk.hears_as("older-1", out, "help");
    desk.hears_as("older-2", blocked, "help");
    desk.later(1);
    desk.hears_as("older-3", out, "STOP");
    assert_eq!(desk.submit(&format!("/inbox/{}/block", desk.conversation(blocked))).await.status, 303);
    desk.later(1);
    desk.talk().await;
    assert_eq!(desk.phone(out), ["You will get no more messages from us. Reply START to get them again."]);
    assert!(desk.phone(blocked).is_empty());
    desk.hears(out, "help").await;
    assert_eq!(desk.phone(out).len(), 2, "what they ask for since is answered");
}
