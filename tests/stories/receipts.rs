use bugle::channels::{Receipt, ReceiptStatus, sandbox};
use bugle::deliveries::{Counts, actions};
use bugle::pacing::LatePolicy;

use crate::desk::{Desk, phones};

/// One contact for each way the carrier can behave.
const MAGIC: [u32; 11] = [80, 81, 82, 83, 84, 90, 91, 92, 93, 94, 95];

fn magic() -> Vec<String> {
    MAGIC.iter().map(|digits| format!("120255501{digits}")).collect()
}

impl Desk {
    /// `progress/outcome` of a contact, with `-` for nothing.
    fn word(&self, ending: u32) -> String {
        #[derive(diesel::QueryableByName)]
        struct Word {
            #[diesel(sql_type = diesel::sql_types::Text)]
            word: String,
        }
        use diesel::RunQueryDsl;
        let sql = format!(
            "SELECT coalesce(progress::text, '-') || '/' || coalesce(outcome::text, '-') AS word
             FROM deliveries WHERE address LIKE '%{ending}'"
        );
        self.db(|conn| diesel::sql_query(sql).get_result::<Word>(conn).unwrap().word)
    }
}

#[actix_web::test]
async fn every_way_a_carrier_behaves_ends_in_the_right_word() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign_to("Magic", &magic(), "09:00-12:00", 6000.0, LatePolicy::CatchUp).await;

    for _ in 0..60 {
        desk.later(1);
        desk.tick().await;
    }

    let words: Vec<String> = MAGIC.iter().map(|ending| desk.word(*ending)).collect();
    //                 late   order  twice  never  failed bad    opted  window later  got it, not
    assert_eq!(words, ["2/0", "1/0", "2/0", "1/-", "2/2", "-/1", "-/23", "-/24", "2/0", "2/0", "-/14"]);
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
    // What the carrier says it brought to phones is what the ledger says was taken.
    let reached = desk.received().len() as i64;
    assert_eq!(desk.counts(run).delivered + desk.counts(run).accepted, reached);
}

#[actix_web::test]
async fn receipts_repeated_and_in_any_order_leave_the_same_counts() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 40, "09:00-12:00", 6000.0).await;
    desk.dispatch().await;
    desk.later(1);
    desk.dispatch().await;
    let now = desk.app.clock.now();
    let news = |status| {
        let of = |message: crate::desk::Received| Receipt { part: message.part, status, code: None };
        desk.received().into_iter().map(of).collect::<Vec<_>>()
    };
    let (sent, delivered, failed) =
        (news(ReceiptStatus::Sent), news(ReceiptStatus::Delivered), news(ReceiptStatus::Failed));

    for batch in [&delivered, &sent, &failed, &sent, &delivered, &delivered] {
        desk.db(|conn| actions::take_in(conn, batch, now).unwrap());
        desk.check_counts();
    }

    assert_eq!(desk.counts(run), Counts { audience: 40, delivered: 40, ..Counts::default() });
}

#[actix_web::test]
async fn news_of_somebody_elses_message_is_passed_over() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Spring offer", 1, "09:00-12:00", 60.0).await;
    let strange = ["", "x", "999-1-1", "1-999-1"].map(|part| Receipt {
        part: part.to_owned(),
        status: ReceiptStatus::Delivered,
        code: None,
    });
    let n = desk.db(|conn| actions::take_in(conn, &strange, desk.app.clock.now()).unwrap());
    assert_eq!(n, 0);
}

#[actix_web::test]
async fn a_channel_that_is_told_later_waits_and_loses_nobody() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&sandbox::Knobs { per_second: 5, ..crate::desk::prompt() });
    let (.., run) = desk.campaign_to("Busy", &phones(60), "09:00-18:00", 6000.0, LatePolicy::CatchUp).await;

    for _ in 0..400 {
        desk.later(1);
        desk.tick().await;
        if desk.state("schedule_runs", run.0) == "completed" {
            break;
        }
    }

    let counts = desk.counts(run);
    assert_eq!(counts.settled(), 60);
    assert_eq!(counts.sent(), desk.received().len() as i64);
}

#[actix_web::test]
async fn who_opted_out_or_is_blocked_gets_nothing_even_when_the_run_is_under_way() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 20, "09:00-12:00", 10.0).await;
    desk.tick().await;
    let phones = phones(20);

    desk.sql(&format!("UPDATE contacts SET opted_out_at = now() WHERE address = '{}'", phones[10]));
    desk.sql(&format!("INSERT INTO blocklist (kind, address, added_at) VALUES ('sms', '{}', now())", phones[11]));
    desk.run_until("2026-03-02 09:05").await;

    assert_eq!((desk.counts(run).delivered, desk.counts(run).skipped), (18, 2));
    assert!(desk.received().iter().all(|it| it.phone != phones[10] && it.phone != phones[11]));
}

#[actix_web::test]
async fn a_missing_value_stops_that_message_alone_and_the_text_is_filled_in() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (.., run) = desk.campaign("Spring offer", 3, "09:00-12:00", 600.0).await;
    desk.sql("UPDATE deliveries SET \"values\" = '{\"balance\": \"5\"}' WHERE seq = 2");
    desk.sql("UPDATE deliveries SET \"values\" = '{\"name\": \"Zoë\"}' WHERE seq = 3");

    desk.run_until("2026-03-02 09:01").await;

    let texts: Vec<_> = desk.received().into_iter().map(|it| it.body).collect();
    assert_eq!(texts, ["Hello Name1, you owe 1.", "Hello Zoë, you owe nothing."]);
    assert_eq!((desk.counts(run).delivered, desk.counts(run).skipped), (2, 1));
}
