//! Who got it, who did not, and why: the rows behind every number.

use actix_web::test::TestRequest;
use bugle::deliveries::{OnRecord, Outcome, Show, Standing, Word};
use bugle::ids::RunId;
use bugle::pacing::LatePolicy;
use bugle::providers::ReceiptStatus;
use bugle::providers::key::DeliveryKey;
use bugle::providers::sandbox::{News, webhook};
use bugle::runs;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::desk::{Desk, phones};

fn shows(html: &str, what: &str) {
    assert!(html.contains(what), "“{what}” is not in:\n{html}");
}

fn lacks(html: &str, what: &str) {
    assert!(!html.contains(what), "“{what}” is in:\n{html}");
}

/// Well-behaved, rejected, failing later, dead line, told to wait, and one whose turn never comes.
pub fn all_sorts() -> Vec<String> {
    ["12020000001", "12020000090", "12020000084", "12020000095", "12020000093", "12020000002"].map(String::from).into()
}

#[actix_web::test]
async fn it_says_why_a_person_got_nothing() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (campaign, _, run) = desk.campaign_to("Spring", &all_sorts(), "09:00-09:05", 60.0, LatePolicy::CatchUp).await;
    desk.run_until("2026-03-02 09:00:04").await;

    let page = desk.visit(&format!("/runs/{run}")).await;
    assert_eq!(page.status, 200);
    shows(&page.html, "Spring-2026-03-02");
    shows(&page.html, &format!("/campaigns?open={campaign}"));
    shows(&page.html, "(UTC)");
    shows(&page.html, r#"<span class="outcome" data-tone="good">delivered</span>"#);

    let rejected = desk.visit(&format!("/runs/{run}?show=failed&q=12020000090")).await;
    shows(&rejected.html, "The provider says the address does not exist.");
    shows(&rejected.html, "bad number");
    lacks(&rejected.html, "12020000001");

    let again = desk.visit(&format!("/runs/{run}?show=retrying")).await;
    shows(&again.html, "waiting for another try");
    shows(&again.html, "Next try at");
    shows(&again.html, "12020000093");

    let dead = desk.visit(&format!("/runs/{run}?q=C4")).await;
    shows(&dead.html, "12020000095");
    shows(&dead.html, "It is not sent again by itself.");

    let planned = desk.visit(&format!("/runs/{run}?show=unsent&q=%2B1%20202%200000-002")).await;
    shows(&planned.html, "Its turn has not come.");

    let nobody = desk.visit(&format!("/runs/{run}?q=999")).await;
    shows(&nobody.html, "No such contact");
    assert_eq!(desk.visit("/runs/4711").await.status, 404);
    assert_eq!(desk.visit_as_stranger(&format!("/runs/{run}")).await.status, 303);
}

#[actix_web::test]
async fn the_rows_behind_a_number_are_as_many_as_it_says() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (_, _, run) = desk.campaign_to("Spring", &all_sorts(), "09:00-09:01", 60.0, LatePolicy::CatchUp).await;
    let check = |when: &str| {
        let counts = desk.counts(run);
        for show in Show::COUNTED.into_iter().chain([Show::Retrying]) {
            let rows = desk.ledger(run, show);
            assert_eq!(rows.len() as i64, show.count(&counts).unwrap_or(0), "{show:?} {when}");
        }
    };
    check("before the start");
    desk.run_until("2026-03-02 09:00:04").await;
    check("while it runs");
    desk.run_until("2026-03-02 09:01:05").await;
    check("at the end");
}

#[actix_web::test]
async fn where_a_contact_stands_is_the_same_asked_one_by_one_or_all_at_once() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (_, _, run) = desk.campaign("Spring", 40, "09:00-10:00", 60.0).await;
    // Every word a row can hold, then nothing but in the list of second tries, in flight, and not claimed.
    for (seq, outcome) in (1..).zip(Outcome::ALL) {
        desk.sql(&format!("UPDATE deliveries SET outcome = {}, settled_at = now() WHERE seq = {seq}", outcome.code()));
    }
    desk.sql("UPDATE deliveries SET progress = 1, settled_at = now() WHERE seq IN (18, 20)");
    desk.sql("UPDATE deliveries SET progress = 2, settled_at = now() WHERE seq = 19");
    desk.sql("UPDATE deliveries SET outcome = 0 WHERE seq = 20");
    desk.sql(&format!("INSERT INTO retries VALUES ({run}, 21, 2, now(), 'later')"));
    desk.sql("UPDATE schedule_runs SET state = 'running', next_seq = 31, clock_since = now()");

    let states = [
        "state = 'running'",
        "state = 'paused', paused_at = now()",
        "state = 'overrun', paused_at = NULL, ended_at = now()",
        "state = 'stopped', ended_at = now()",
        "state = 'completed', ended_at = now()",
        "state = 'waiting', ended_at = NULL, clock_since = NULL",
    ];
    for state in states {
        desk.sql(&format!("UPDATE schedule_runs SET {state}"));
        let (at_once, one_by_one) = (desk.ledger(run, Show::All), desk.db(|conn| one_by_one(conn, run)));
        let in_no_group = desk.ledger(run, Show::NoGroup);
        let mut at_once: Vec<_> = at_once.iter().chain(&in_no_group).map(|entry| (entry.seq, entry.standing)).collect();
        at_once.sort_by_key(|(seq, _)| *seq);
        assert_eq!(at_once, one_by_one, "{state}");
    }
    // Back to something whose counts can be held against its rows.
    desk.sql("DELETE FROM schedule_runs");
}

fn one_by_one(conn: &mut PgConnection, id: RunId) -> Vec<(i32, Standing)> {
    use bugle::db::schema::{deliveries, retries};
    let run = runs::store::find(conn, id).unwrap();
    let waiting: Vec<(i32, i16)> = retries::table.select((retries::seq, retries::attempt)).load(conn).unwrap();
    let rows: Vec<(i32, Option<i16>, Option<i16>)> = deliveries::table
        .order(deliveries::seq)
        .select((deliveries::seq, deliveries::progress, deliveries::outcome))
        .load(conn)
        .unwrap();
    rows.into_iter()
        .map(|(seq, progress, outcome)| {
            let word = Word { progress, outcome: outcome.and_then(Outcome::of_code) };
            let waits_for = waiting.iter().find(|it| it.0 == seq).map(|it| it.1);
            let on_record = OnRecord { word, waits_for, claimed: seq < run.next_seq };
            (seq, Standing::of(on_record, &run.state))
        })
        .collect()
}

#[actix_web::test]
async fn a_long_ledger_comes_page_by_page_and_goes_out_whole() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (_, _, run) = desk.campaign_to("Spring", &phones(4500), "09:00-10:00", 60.0, LatePolicy::CatchUp).await;
    desk.sql("UPDATE deliveries SET customer_id = '=HYPERLINK(1)' WHERE seq = 4321");

    let first = desk.visit(&format!("/runs/{run}")).await;
    shows(&first.html, r#"id="delivery-100""#);
    lacks(&first.html, r#"id="delivery-101""#);
    shows(&first.html, &format!("/runs/{run}?show=all&#38;after=100"));
    let second = desk.visit(&format!("/runs/{run}?show=all&after=100")).await;
    shows(&second.html, r#"id="delivery-101""#);
    shows(&second.html, r#"id="delivery-200""#);
    let last = desk.visit(&format!("/runs/{run}?after=4400")).await;
    shows(&last.html, r#"id="delivery-4500""#);
    lacks(&last.html, "Next page");

    let table = desk.visit(&format!("/runs/{run}/ledger.csv")).await;
    assert_eq!(table.headers.get("content-type").unwrap(), "text/csv; charset=utf-8");
    let lines: Vec<_> = table.html.lines().collect();
    assert_eq!(lines.len(), 4501, "each once, and the header");
    assert!(lines[0].starts_with("\u{feff}row,address,customer id,code,outcome,why"));
    assert!(lines[4321].starts_with("4321,"), "{}", lines[4321]);
    assert!(lines[4321].contains(",'=HYPERLINK(1),"), "{}", lines[4321]);
    let some = desk.visit(&format!("/runs/{run}/ledger.csv?show=delivered")).await;
    assert_eq!(some.html.lines().count(), 1);
}

#[actix_web::test]
async fn what_few_rows_of_a_long_ledger_have_in_common_is_found_look_by_look() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (_, _, run) = desk.campaign("Spring", 1, "09:00-10:00", 60.0).await;
    desk.sql(
        "INSERT INTO deliveries (run_id, seq, contact_id, address, values, outcome, settled_at)
         SELECT run_id, n, contact_id, '1202' || n, '{}', CASE WHEN n IN (1001, 75000, 115000) THEN 12 WHEN n <= 120000 THEN 0 END,
                CASE WHEN n <= 120000 THEN now() END
         FROM deliveries, generate_series(2, 125000) n",
    );
    desk.sql("UPDATE schedule_runs SET last_seq = 125000, next_seq = 120001, state = 'stopped', ended_at = now()");

    let first = desk.visit(&format!("/runs/{run}?show=failed")).await;
    shows(&first.html, r#"id="delivery-1001""#);
    shows(&first.html, "Looked through 50,000 of 125,000 rows.");
    shows(&first.html, &format!("/runs/{run}?show=failed&#38;after=50000&#38;found=1"));
    lacks(&first.html, "Next page");
    let second = desk.visit(&format!("/runs/{run}?show=failed&after=50000&found=1")).await;
    shows(&second.html, r#"id="delivery-75000""#);
    let last = desk.visit(&format!("/runs/{run}?show=failed&after=100000&found=2")).await;
    shows(&last.html, r#"id="delivery-115000""#);
    lacks(&last.html, "Looked through");
    lacks(&last.html, "Nobody here");

    // A page that is full does not look on, and the next one begins behind its last row.
    let full = desk.visit(&format!("/runs/{run}?show=failed&after=50000&found=99")).await;
    shows(&full.html, r#"id="delivery-75000""#);
    shows(&full.html, "found=100");
    let over = desk.visit(&format!("/runs/{run}?show=failed&after=100000&found=100")).await;
    lacks(&over.html, r#"id="delivery-115000""#);
    shows(&over.html, &format!("/runs/{run}?show=failed&#38;after=100000\">Next page"));

    // Whoever was not sent to is behind the cursor, so nothing before it is looked through.
    let unsent = desk.visit(&format!("/runs/{run}?show=unsent")).await;
    shows(&unsent.html, r#"id="delivery-120001""#);
    let nobody = desk.visit(&format!("/runs/{run}?show=skipped&after=100000&found=0")).await;
    shows(&nobody.html, "Nobody here");
    desk.sql("DELETE FROM schedule_runs");
}

#[actix_web::test]
async fn only_signed_receipts_are_taken_in() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    // A carrier that owes the receipts for an hour.
    desk.carrier(&bugle::providers::sandbox::Knobs { receipt_ms: 3_600_000, ..super::desk::prompt() });
    let (_, _, run) = desk.campaign("Spring", 1, "09:00-10:00", 60.0).await;
    desk.run_until("2026-03-02 09:00:02").await;
    assert_eq!(desk.counts(run).delivered, 0);

    let part = DeliveryKey { run, seq: 1, attempt: 1 }.to_string();
    let (body, signature) = {
        let secret = desk.db(|conn| bugle::channels::setups::find(conn, desk.channel).unwrap().secret);
        webhook(&secret, &[News::Receipt { part, status: ReceiptStatus::Delivered, code: None }])
    };
    let call = |path: String, signature: Option<String>| {
        let mut request = TestRequest::post().uri(&path).set_payload(body.clone());
        if let Some(signature) = signature {
            request = request.insert_header(("X-Signature-256", signature));
        }
        desk.send(request)
    };
    let path = format!("/webhooks/{}", desk.channel);
    assert_eq!(call(path.clone(), None).await.status, 401);
    assert_eq!(call(path.clone(), Some("00".repeat(32))).await.status, 401);
    assert_eq!(call("/webhooks/4711".into(), Some(signature.clone())).await.status, 404);
    assert_eq!(desk.counts(run).delivered, 0);
    assert_eq!(call(path.clone(), Some(signature.clone())).await.status, 204);
    assert_eq!(call(path, Some(format!("sha256={signature}"))).await.status, 204, "told twice");
    assert_eq!(desk.counts(run).delivered, 1);
}

#[actix_web::test]
async fn a_webhook_call_has_a_size() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let request =
        TestRequest::post().uri(&format!("/webhooks/{}", desk.channel)).set_payload(vec![b' '; 256 * 1024 + 1]);
    assert_eq!(desk.send(request).await.status, 413);
}

#[actix_web::test]
async fn a_ledger_page_is_of_one_instant() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (.., run) = desk.campaign("Spring", 6, "09:00-10:00", 6000.0).await;
    desk.at("2026-03-02 09:01");
    bugle::engine::starter::tick(&desk.app).await.unwrap();
    let claim = desk.claims(run);
    let before = desk.visit(&format!("/runs/{run}")).await;

    // The page stands still between its rows and the numbers above them, and all settle meanwhile.
    let mut other = diesel::PgConnection::establish(&desk.url).unwrap();
    other.batch_execute("BEGIN; LOCK TABLE tallies IN ACCESS EXCLUSIVE MODE").unwrap();
    let path = format!("/runs/{run}");
    let waits = "SELECT count(*) AS n FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 WHERE c.relname = 'tallies' AND NOT l.granted";
    let (page, ()) = futures_util::join!(desk.visit(&path), async {
        super::desk::until("the page waits", || desk.number(waits) > 0).await;
        desk.settles_with(&mut other, &claim);
        other.batch_execute("COMMIT").unwrap();
    });
    assert_eq!(page.html, before.html);
    assert_ne!(desk.visit(&path).await.html, before.html);
}

/// The table of a ledger is a file with the same people and values.
#[actix_web::test]
async fn a_ledger_that_is_taken_away_can_be_uploaded_again() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let people: Vec<String> = (0..3).map(|n| format!("120220000{n:02}")).collect();
    let late = bugle::pacing::LatePolicy::CatchUp;
    let (_, _, run) = desk.campaign_to("Spring", &people, "09:00-10:00", 60.0, late).await;
    desk.sql(
        "UPDATE deliveries SET \"values\" = jsonb_build_object('name', 'Ann; \"B\"', 'Why', '=1+1', 'city', 'Cork\n' || seq, 'empty', '')",
    );
    desk.sql("UPDATE schedule_runs SET fields = '[\"name\", \"Why\", \"city\", \"empty\"]'");
    let table = desk.visit(&format!("/runs/{run}/ledger.csv")).await.html;
    let n_columns = table.lines().next().unwrap().split(',').count();
    assert_eq!(n_columns, 9 + 4, "{table}");
    let uploaded = desk.upload("/files", "ledger.csv", table.as_bytes(), &[]).await.location.expect("a table");
    let uses: Vec<(String, &str)> = (0..n_columns)
        .map(|n| {
            (
                format!("use-{n}"),
                if n == 1 {
                    "channel_id"
                } else if n < 9 {
                    "ignore"
                } else {
                    "data"
                },
            )
        })
        .collect();
    let mut form: Vec<(&str, &str)> = uses.iter().map(|(name, it)| (name.as_str(), *it)).collect();
    form.push(("region", "everywhere"));
    assert_eq!(desk.fill_in(&format!("{uploaded}/import"), &form).await.status, 303);
    bugle::engine::importer::tick(&desk.app).await.unwrap();
    let again = "SELECT address || ' ' || \"values\" AS line FROM file_rows WHERE file_id = (SELECT max(id) FROM files) ORDER BY seq";
    let sent = format!(
        "SELECT address || ' ' || ((\"values\" - 'Why' - 'empty') || jsonb_build_object('Why of the file', \"values\" ->> 'Why')) AS line
         FROM deliveries WHERE run_id = {run} ORDER BY seq"
    );
    assert_eq!(desk.lines(again), desk.lines(&sent));
}
