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
