//! After a stop: a campaign for those whom a run did not reach, and nobody twice.

use bugle::deliveries::{Outcome, Show};
use bugle::pacing::LatePolicy;
use bugle::schedules::When;

use crate::desk::{Desk, phones};

/// Of six, two got it, one refused, three were never reached; and two runs later nobody got it twice.
#[actix_web::test]
async fn those_whom_a_stopped_run_did_not_reach_get_it_from_another_campaign_and_nobody_gets_it_twice() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let mut people = phones(6);
    people[1] = "12020000090".to_owned();
    let (campaign, _, run) = desk.campaign_to("Spring", &people, "09:00-10:00", 1.0, LatePolicy::KeepRate).await;
    desk.sql("UPDATE deliveries SET \"values\" = \"values\" || '{\"name\": \"Ann\", \"city\": \"Cork\"}'");
    desk.sql("UPDATE schedule_runs SET fields = '[\"name\", \"city\"]'");
    desk.run_until("2026-03-02 09:02:30").await;
    assert_eq!(desk.received().len(), 2);

    // While it goes on, it may still reach them.
    desk.visit(&format!("/runs/{run}/rest")).await.shows("It is not over");
    let early = desk.fill_in(&format!("/runs/{run}/rest"), &[("whom", "unsent")]).await;
    assert_eq!(early.status, 422);
    early.shows("It is not over");

    desk.press(&format!("/campaigns/{campaign}/stop")).await;
    desk.visit(&format!("/campaigns?open={campaign}")).await.shows("New campaign for the 4 not reached");
    let page = desk.visit(&format!("/runs/{run}/rest")).await;
    page.shows("Unsent: their turn never came <b class=\"num\">3</b>");
    page.shows("Failed: the provider refused them or could not reach them <b class=\"num\">1</b>");
    page.lacks("Unconfirmed");
    let nobody = desk.fill_in(&format!("/runs/{run}/rest"), &[]).await;
    assert_eq!(nobody.status, 422);
    nobody.shows("Choose who is to get it.");

    let made = desk.fill_in(&format!("/runs/{run}/rest"), &[("whom", "unsent"), ("whom", "failed")]).await;
    assert_eq!(made.location.as_deref(), Some("/campaigns/2/edit"), "{}", made.html);
    let draft = desk.visit("/campaigns/2/edit").await;
    draft.shows("Spring rest");
    draft.shows("Choose the day on which “Main” is sent.");
    let rows = "SELECT concat_ws(' ', address, \"values\" ->> 'name', \"values\" ->> 'city') AS line FROM file_rows
                WHERE file_id = (SELECT file_id FROM campaigns WHERE id = 2) ORDER BY seq";
    let unreached: Vec<String> = people
        .iter()
        .enumerate()
        .filter(|(n, _)| ![0, 2].contains(n))
        .map(|(_, it)| format!("{it} Ann Cork"))
        .collect();
    assert_eq!(desk.lines(rows), unreached, "those two who got it are not among them, and the values are kept");

    // Sent off, it reaches whom it can; of what it leaves a third may be made.
    let now = desk.app.clock.now();
    desk.db(|conn| {
        use bugle::{drafting, schedules};
        let id = bugle::ids::CampaignId(2);
        let main = schedules::store::of_campaigns(conn, &[id]).unwrap().remove(0);
        let when = When::Once { date: now.date_naive() };
        let plan = schedules::Draft { when, rate: bugle::pacing::Rate::Fixed(600.0), ..main.plan };
        drafting::actions::change_schedule(conn, main.id, &plan, desk.admin, now).unwrap();
        drafting::actions::launch(conn, id, desk.admin, now).unwrap();
    });
    desk.run_until("2026-03-02 09:03:30").await;
    let mut got: Vec<String> = desk.received().into_iter().map(|it| it.phone).collect();
    got.sort();
    let mut reachable: Vec<String> = people.iter().filter(|it| *it != "12020000090").cloned().collect();
    reachable.sort();
    assert_eq!(got, reachable, "each once");
}

/// Whom a run of yesterday left out, today's may have reached.
#[actix_web::test]
async fn who_was_reached_by_another_run_of_the_schedule_is_not_among_the_rest() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (campaign, _, run) = desk.campaign("Spring", 4, "09:00-10:00", 60.0).await;
    desk.press(&format!("/campaigns/{campaign}/stop")).await;
    assert_eq!(desk.ledger(run, Show::Outcome(Outcome::Stopped)).len(), 4);
    // The same schedule ran another day: one was reached, and of one nobody knows.
    desk.sql(
        "INSERT INTO schedule_runs (schedule_id, campaign_id, channel_id, name, run_date, body, starts_at, ends_at, late_policy,
                                    prepared_at, next_seq, last_seq, rate, state, clock_since, ended_at)
         SELECT schedule_id, campaign_id, channel_id, name || ' again', run_date + 1, body, starts_at + interval '1 day', ends_at + interval '1 day', late_policy,
                now(), 4, 3, rate, 'completed', now(), now() FROM schedule_runs",
    );
    desk.sql(
        "INSERT INTO deliveries (run_id, seq, contact_id, address, values, progress, outcome, attempt, settled_at)
         SELECT (SELECT max(id) FROM schedule_runs), seq, contact_id, address, values, 1,
                CASE seq WHEN 1 THEN 0 WHEN 2 THEN 14 ELSE 12 END, 1, now()
         FROM deliveries WHERE seq <= 3",
    );
    let made = desk.fill_in(&format!("/runs/{run}/rest"), &[("whom", "unsent")]).await;
    assert_eq!(made.status, 303, "{}", made.html);
    assert_eq!(
        desk.number("SELECT count(*) AS n FROM file_rows WHERE file_id = (SELECT max(file_id) FROM campaigns)"),
        2
    );
    desk.sql("DELETE FROM deliveries WHERE run_id = (SELECT max(id) FROM schedule_runs)");
    desk.sql("DELETE FROM schedule_runs WHERE id = (SELECT max(id) FROM schedule_runs)");
}

/// `n` different numbers that exist, so that an import takes them.
fn existing(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("1202{:05}{:02}", 20_000 + n / 80, n % 80)).collect()
}

/// A campaign of two groups, stopped: its runs and the two schedules' names.
async fn of_two_groups(desk: &Desk) -> (bugle::ids::CampaignId, Vec<bugle::ids::RunId>) {
    let main = [("Cork", "09:00-10:00", 1.0, Some("Cork")), ("Galway", "09:00-10:00", 1.0, Some("Galway"))];
    let (campaign, _) = desk.daily("Arrears", "", &main).await;
    let city = |n: usize| if n < 4 { "Cork" } else { "Galway" };
    let row = |(n, phone): (usize, &String)| format!("+{phone},Name{n},{n},{}\n", city(n));
    let people = existing(8);
    let rows: String = people.iter().enumerate().map(row).collect();
    let file = format!("phone,name,balance,city\n{rows}");
    desk.upload_with_htmx(&format!("/campaigns/{campaign}/drops"), "one.csv", file.as_bytes()).await;
    bugle::engine::importer::tick(&desk.app).await.unwrap();
    bugle::engine::starter::tick(&desk.app).await.unwrap();
    let runs = desk.lines("SELECT id::text AS line FROM real_runs ORDER BY id");
    (campaign, runs.iter().map(|id| bugle::ids::RunId(id.parse().unwrap())).collect())
}

/// One draft over both groups, with their schedules, and only those whom neither reached.
#[actix_web::test]
async fn the_rest_of_a_grouped_campaign_is_one_draft_with_its_groups() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, runs) = of_two_groups(&desk).await;
    assert_eq!(runs.len(), 2);
    desk.run_until("2026-11-24 09:01:30").await;
    assert_eq!(desk.received().len(), 4, "two of each group");
    let early = desk.fill_in(&format!("/campaigns/{campaign}/rest"), &[("whom", "unsent")]).await;
    assert_eq!(early.status, 422);
    early.shows("It is not over");

    desk.press(&format!("/campaigns/{campaign}/stop")).await;
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.shows(&format!("<a href=\"/campaigns/{campaign}/rest\">New campaign for those not reached</a>"));
    let page = desk.visit(&format!("/campaigns/{campaign}/rest")).await;
    page.shows("One new draft over 2 runs");
    page.shows("Unsent: their turn never came <b class=\"num\">4</b>");
    let made = desk.fill_in(&format!("/campaigns/{campaign}/rest"), &[("whom", "unsent")]).await;
    assert_eq!(made.location.as_deref(), Some("/campaigns/2/edit"), "{}", made.html);
    let draft =
        "SELECT concat_ws(' ', name, group_value, run_date) AS line FROM schedules WHERE campaign_id = 2 ORDER BY id";
    assert_eq!(desk.lines(draft), ["Cork Cork", "Galway Galway"]);
    assert_eq!(desk.lines("SELECT group_by AS line FROM campaigns WHERE id = 2"), ["city"]);
    let rows = "SELECT concat_ws(' ', address, \"values\" ->> 'name', \"values\" ->> 'city') AS line FROM file_rows
                WHERE file_id = (SELECT file_id FROM campaigns WHERE id = 2) ORDER BY seq";
    let people = existing(8);
    let left = [2, 3, 6, 7].map(|n| format!("{} Name{n} {}", people[n], if n < 4 { "Cork" } else { "Galway" }));
    assert_eq!(desk.lines(rows), left);
    desk.visit("/campaigns/2/edit").await.shows("Choose the day on which “Cork” is sent.");
}

/// Who did not answer, who has no receipt, who was left out for a time: each of them, and whoever was reached by
/// another of the runs is not among them.
#[actix_web::test]
async fn the_rest_over_two_runs_knows_no_reply_not_delivered_and_left_out() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, runs) = of_two_groups(&desk).await;
    desk.press(&format!("/campaigns/{campaign}/stop")).await;
    // Of Cork: delivered, on its way to the phone, held by the cap. The last of Cork is the third of Galway as well,
    // left out there and reached here.
    let [cork, galway] = runs[..] else { panic!("{runs:?}") };
    let cap = Outcome::FrequencyCap.code();
    desk.sql("CREATE TABLE deliveries_before AS SELECT * FROM deliveries");
    desk.sql("CREATE TABLE runs_before AS SELECT * FROM schedule_runs");
    desk.sql("UPDATE schedule_runs SET next_seq = 5");
    desk.sql(&format!(
        "UPDATE deliveries SET progress = 1, settled_at = '2026-11-24 08:00Z', attempt = 1,
                outcome = CASE WHEN run_id = {cork} THEN (ARRAY[0, NULL, {cap}, 0])[seq] ELSE 0 END"
    ));
    desk.sql(&format!(
        "UPDATE deliveries SET outcome = {cap}, contact_id = (SELECT contact_id FROM deliveries WHERE run_id = {cork} AND seq = 4)
         WHERE run_id = {galway} AND seq = 3"
    ));
    let whom = async |words: &[&str]| {
        let chosen: Vec<_> = words.iter().map(|word| ("whom", *word)).collect();
        let made = desk.fill_in(&format!("/campaigns/{campaign}/rest"), &chosen).await;
        match made.status {
            303 => desk.lines(
                "SELECT r.\"values\" ->> 'name' AS line FROM file_rows r
                 WHERE file_id = (SELECT max(file_id) FROM campaigns) ORDER BY seq",
            ),
            _ => vec![made.html],
        }
    };
    assert_eq!(whom(&["undelivered"]).await, ["Name1"]);
    assert_eq!(whom(&["left_out"]).await, ["Name2"], "the other one left out was reached in Cork");
    assert_eq!(whom(&["silent"]).await, ["Name0", "Name1", "Name3", "Name4", "Name5", "Name7"]);
    // One of them writes: then there is a reply.
    let first = existing(8)[0].clone();
    desk.hears(&first, "Thank you").await;
    assert_eq!(whom(&["silent"]).await, ["Name1", "Name3", "Name4", "Name5", "Name7"]);
    assert!(whom(&["unconfirmed"]).await[0].contains("Nobody stands so"));
    // The desk holds counts against rows at the end.
    desk.sql("UPDATE schedule_runs r SET next_seq = b.next_seq FROM runs_before b WHERE b.id = r.id");
    desk.sql(
        "UPDATE deliveries d SET progress = b.progress, outcome = b.outcome, settled_at = b.settled_at,
                                 attempt = b.attempt, contact_id = b.contact_id
         FROM deliveries_before b WHERE (b.run_id, b.seq) = (d.run_id, d.seq)",
    );
    desk.sql("DROP TABLE deliveries_before, runs_before");
}
