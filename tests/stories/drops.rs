//! A daily campaign waits for its file, and the day's file makes the day's runs.

use actix_web::test::TestRequest;
use bugle::access::Role;
use bugle::control::actions as campaigns;
use bugle::control::actions as schedules;
use bugle::daily::actions::{self as drops, Launch};
use bugle::daily::domain::Mode;
use bugle::engine::{importer, starter};
use bugle::ids::{CampaignId, DropId, RunId};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::desk::{Answer, Desk};

const HEADER: &str = "phone,name,balance\n";

/// `n` different numbers that exist, at which the carrier does nothing special.
fn phones(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("1202{:05}{:02}", 20_000 + n / 80, n % 80)).collect()
}

/// Rows for the `n` phones from `from` on.
fn rows(from: usize, n: usize) -> String {
    let row = |(i, phone): (usize, String)| format!("+{phone},Name{i},{i}\n");
    phones(from + n).into_iter().enumerate().skip(from).map(row).collect()
}

fn file(from: usize, n: usize) -> String {
    format!("{HEADER}{}", rows(from, n))
}

/// Rows with a city, for a campaign with groups.
fn cities(rows: &[(usize, &str)]) -> String {
    let all = phones(100);
    let row = |(i, city): &(usize, &str)| format!("+{},Name{i},{i},{city}\n", all[*i]);
    format!("phone,name,balance,city\n{}", rows.iter().map(row).collect::<String>())
}

impl Desk {
    /// How often each of the first `n` phones was reached.
    fn times_reached(&self, n: usize) -> Vec<usize> {
        let received = self.received();
        phones(n).iter().map(|phone| received.iter().filter(|it| it.phone == *phone).count()).collect()
    }

    fn runs_of(&self, campaign: CampaignId) -> Vec<RunId> {
        #[derive(QueryableByName)]
        struct Id {
            #[diesel(sql_type = BigInt)]
            id: i64,
        }
        let sql = format!("SELECT id FROM schedule_runs WHERE campaign_id = {campaign} ORDER BY id");
        let ids: Vec<Id> = self.db(|conn| diesel::sql_query(sql).load(conn).unwrap());
        ids.into_iter().map(|it| RunId(it.id)).collect()
    }

    /// One column of the rows that a query finds, called `t`.
    fn column(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct It {
            #[diesel(sql_type = Text)]
            t: String,
        }
        let found: Vec<It> = self.db(|conn| diesel::sql_query(sql).load(conn).unwrap());
        found.into_iter().map(|it| it.t).collect()
    }

    fn journal(&self, happened: &str) -> Vec<String> {
        self.column(&format!("SELECT why AS t FROM journal WHERE happened = '{happened}' ORDER BY id"))
    }

    fn drop_id(&self, name: &str) -> DropId {
        DropId(self.number(&format!("SELECT max(id) AS n FROM drops WHERE name = '{name}'")))
    }
}

const MAIN: &[(&str, &str, f64, Option<&str>)] = &[("Main", "09:00-09:10", 10.0, None)];

#[actix_web::test]
async fn a_good_file_in_time_waits_and_is_sent_at_its_start() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "arrears-{date}.csv", MAIN).await;
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.shows("08:00 and 11:00");
    page.shows("weekdays");
    page.shows("arrears-2026-11-24.csv");
    page.shows("Open now");
    page.shows("Tuesday 24 November, 08:00 to 11:00 Europe/Dublin");
    page.shows("No file has come today.");

    let page = desk.drops(campaign, "Arrears-2026-11-24.csv", &file(0, 100)).await;
    assert_eq!(page.status, 200);
    page.shows("hx-trigger=\"every 1s\"");
    desk.tick().await;

    let page = desk.peek(&format!("/campaigns/{campaign}/drops")).await;
    page.shows("100 contacts in today's runs.");
    page.lacks("hx-trigger");
    assert_eq!(desk.column("SELECT name AS t FROM schedule_runs"), ["Arrears-2026-11-24"]);
    desk.run_until("2026-11-24 08:31").await;
    assert!(desk.received().is_empty(), "it waits for its start");
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:11").await;
    assert_eq!(desk.times_reached(100), [1; 100]);
    let first = desk.received()[0].at;
    assert_eq!(first, crate::desk::instant("2026-11-24 09:00"));
    assert_eq!(desk.campaign_state(campaign), "active", "tomorrow it waits for the next file");
}

#[actix_web::test]
async fn a_name_from_a_machine_that_spells_accents_otherwise_is_the_expected_one() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "données-{date}*.csv", MAIN).await;
    desk.drops(campaign, "Donne\u{301}es-2026-11-24.csv", &file(0, 3)).await;
    desk.tick().await;
    desk.peek(&format!("/campaigns/{campaign}/drops")).await.shows("3 contacts in today's runs.");
    assert_eq!(
        desk.column("SELECT name AS t FROM files WHERE id = (SELECT max(id) FROM files)"),
        ["Données-2026-11-24.csv"]
    );
}

#[actix_web::test]
async fn a_late_file_catches_up_by_itself() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.at("2026-11-24 09:04:59");
    desk.drops(campaign, "late.csv", &file(0, 100)).await;
    desk.run_until("2026-11-24 09:10").await;

    let minute = |minute: &str| {
        let from = crate::desk::instant(minute);
        desk.received().iter().filter(|it| from <= it.at && it.at < from + chrono::TimeDelta::minutes(1)).count()
    };
    assert_eq!(minute("2026-11-24 09:05"), 60, "50 at once and 10 through the minute");
    assert_eq!(minute("2026-11-24 09:06"), 10);
    assert_eq!(desk.times_reached(100), [1; 100]);
}

#[actix_web::test]
async fn each_refusal_says_which_check_failed_and_offers_the_way_on() {
    // A Saturday.
    let mut desk = Desk::open_at("2026-11-21 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "arrears-{date}.csv", MAIN).await;
    let page = desk.drops(campaign, "weekend.csv", &file(0, 3)).await;
    assert_eq!(page.status, 409);
    page.shows("No file is expected on a Saturday. Next: Monday 23 November, 08:00 to 11:00 Europe/Dublin.");
    page.shows("Take it all the same");
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_rows"), 1, "only the sample");

    // Let in, it has the wrong name; accepted, it is sent.
    let id = desk.drop_id("weekend.csv");
    let page = desk.press(&format!("/drops/{id}/let-in")).await;
    assert_eq!(page.status, 409);
    page.shows("The file is called “weekend.csv”. Today “arrears-2026-11-21.csv” is expected.");
    let page = desk.press(&format!("/drops/{id}/accept-name")).await;
    assert_eq!(page.status, 200);
    page.shows("Ada let it pass the day and the name");
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    assert_eq!(desk.state("drops", id.0), "launched");
    let allowed = desk.journal("drop.allowed");
    assert!(allowed[0].starts_with("although: No file is expected on a Saturday."), "{allowed:?}");
    assert!(allowed[1].starts_with("although: The file is called"), "{allowed:?}");

    // Monday, before the window.
    desk.comes_back_at("2026-11-23 07:00").await;
    let page = desk.drops(campaign, "arrears-2026-11-23.csv", &file(0, 3)).await;
    page.shows("The import window is closed at 07:00. Next: Monday 23 November, 08:00 to 11:00 Europe/Dublin.");
    page.shows("Take it all the same");

    // In the window: rows, columns, no table.
    desk.at("2026-11-23 08:00");
    let page = desk.drops(campaign, "arrears-2026-11-23.csv", HEADER).await;
    assert_eq!(page.status, 409);
    page.shows("The file has a header row and nothing below it.");
    page.lacks("Accept this name");
    let before = desk.number("SELECT count(*) AS n FROM files");
    let page = desk.drops(campaign, "arrears-2026-11-23.csv", "phone,balance\n+12025550100,1\n").await;
    page.shows("The column “name” is missing.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM files"), before, "nothing of it is kept");
    let page = desk.drops(campaign, "arrears-2026-11-23.csv", "\u{0}\u{1}\u{2}").await;
    assert_eq!(page.status, 409);
    page.shows("<b>The file could not be read.</b>");

    // All rows bad: known after the import only.
    desk.drops(campaign, "arrears-2026-11-23.csv", &format!("{HEADER}nobody,x,1\n")).await;
    desk.tick().await;
    let page = desk.peek(&format!("/campaigns/{campaign}/drops")).await;
    page.shows("No row could be taken, so there is nobody to send to.");
    assert_eq!(desk.runs_of(campaign).len(), 1, "Saturday's");

    // After the schedules have ended: a new end time.
    desk.at("2026-11-23 10:00");
    let page = desk.drops(campaign, "arrears-2026-11-23.csv", &file(0, 3)).await;
    page.shows("The schedules have ended for today, the last one at 09:10.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM files WHERE state = 'importing'"), 0);
    let id = desk.drop_id("arrears-2026-11-23.csv");
    let page = desk.fill_in_with_htmx(&format!("/drops/{id}/end"), &[("end", "09:30")]).await;
    assert_eq!(page.status, 422);
    page.shows("Give an end time later than now, today.");
    page.shows(&format!(r#"value="09:30" aria-invalid="true" aria-describedby="drop-{id}-end-error""#));
    let page = desk.fill_in_with_htmx(&format!("/drops/{id}/end"), &[("end", "10:30")]).await;
    assert_eq!(page.status, 200);
    let page = desk.fill_in_with_htmx(&format!("/drops/{id}/end"), &[("end", "09:30")]).await;
    assert_eq!(page.status, 409);
    page.shows("Somebody already decided about this file.");
    importer::tick(&desk.app).await.unwrap();
    desk.run_until("2026-11-23 10:01").await;
    assert_eq!(desk.times_reached(3), [1; 3]);
}

#[actix_web::test]
async fn who_may_let_a_file_in_depends_on_what_is_wrong_with_it() {
    let desk = Desk::open_at("2026-11-24 07:00").await;
    let (campaign, _) = desk.daily("Arrears", "arrears.csv", MAIN).await;
    desk.gives_the_admin_the_role(Role::Operator);
    let page = desk.drops(campaign, "early.csv", &file(0, 3)).await;
    page.shows("Somebody with the role manager can take it all the same.");
    let early = desk.drop_id("early.csv");
    assert_eq!(desk.press(&format!("/drops/{early}/let-in")).await.status, 403);

    desk.at("2026-11-24 08:00");
    desk.drops(campaign, "named.csv", &file(0, 3)).await;
    let named = desk.drop_id("named.csv");
    assert_eq!(desk.press(&format!("/drops/{named}/accept-name")).await.status, 200);
    assert_eq!(desk.press(&format!("/drops/{named}/accept-name")).await.status, 409, "it is let in already");

    desk.gives_the_admin_the_role(Role::Viewer);
    let page = desk.upload_with_htmx(&format!("/campaigns/{campaign}/drops"), "x.csv", b"a").await;
    assert_eq!(page.status, 403);
    desk.visit(&format!("/campaigns?open={campaign}")).await.shows("Dropping a file needs the role operator.");
}

#[actix_web::test]
async fn the_same_file_twice_is_refused_and_nobody_gets_it_twice() {
    let mut desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 10)).await;
    desk.tick().await;
    desk.at("2026-11-24 08:45");
    let page = desk.drops(campaign, "b.csv", &file(0, 10)).await;
    assert_eq!(page.status, 409);
    page.shows("This very file was dropped today at 08:30 by Ada. Nobody gets it twice.");

    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:02").await;
    assert_eq!(desk.times_reached(10), [1; 10]);

    desk.comes_back_at("2026-11-25 08:30").await;
    let page = desk.drops(campaign, "a.csv", &file(0, 10)).await;
    assert_eq!(page.status, 200, "tomorrow is another day");
    desk.tick().await;
    assert_eq!(
        desk.column("SELECT name AS t FROM schedule_runs ORDER BY id"),
        ["Arrears-2026-11-24", "Arrears-2026-11-25"]
    );
}

#[actix_web::test]
async fn a_second_file_adds_its_contacts_to_the_run_that_goes_on() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, ids) = desk.daily("Arrears", "", &[("Main", "09:00-10:00", 60.0, None)]).await;
    desk.drops(campaign, "a.csv", &file(0, 60)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:00:20").await;
    let sent_before = desk.received().len();
    assert!(0 < sent_before && sent_before < 60);
    let now = desk.app.clock.now();
    desk.db(|conn| schedules::pause(conn, ids[0], desk.admin, now).unwrap());

    let page = desk.drops(campaign, "b.csv", &file(40, 40)).await;
    page.shows("Another file came before it today.");
    assert_eq!(
        desk.number("SELECT count(*) AS n FROM files WHERE state = 'received'"),
        1,
        "asked before it is imported"
    );
    let id = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/add")).await.status, 200);
    let page = desk.press(&format!("/drops/{id}/replace")).await;
    assert_eq!(page.status, 409, "that is decided");
    page.shows("Somebody already decided about this file.");
    page.shows(&format!(r#"id="drops-{campaign}""#));
    page.lacks("Replace what is unsent");
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    let page = desk.peek(&format!("/campaigns/{campaign}/drops")).await;
    page.shows("40 contacts added to today's runs.");
    page.shows("20 of them had today's message coming already and were left out.");
    assert_eq!(desk.received().len(), sent_before, "it is still paused");

    let now = desk.app.clock.now();
    desk.db(|conn| schedules::resume(conn, ids[0], desk.admin, now).unwrap());
    desk.run_until("2026-11-24 09:02").await;
    assert_eq!(desk.times_reached(80), [1; 80]);
    let run = desk.run_of(ids[0]);
    assert_eq!(desk.counts(run).audience, 80);
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
}

#[actix_web::test]
async fn a_second_file_replaces_what_is_unsent_and_nothing_else() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, ids) = desk.daily("Arrears", "", &[("Main", "09:00-10:00", 60.0, None)]).await;
    desk.drops(campaign, "a.csv", &file(0, 60)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:00:20").await;
    let sent_before = desk.received().len();
    assert!(10 < sent_before && sent_before < 40, "{sent_before}");

    // Contacts 0 to 9 have been reached; 50 to 59 have not, and are in both files.
    let rows = format!("{HEADER}{}{}", rows(0, 10), rows(50, 30));
    desk.drops(campaign, "b.csv", &rows).await;
    let id = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/replace")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.run_until("2026-11-24 09:03").await;

    let reached = desk.times_reached(80);
    assert!(reached[..10].iter().all(|n| *n == 1));
    assert_eq!(reached[50..], [1; 30]);
    let in_between: usize = reached[10..50].iter().sum();
    assert!(in_between < 40 && reached.iter().all(|n| *n <= 1));
    let run = desk.run_of(ids[0]);
    let counts = desk.counts(run);
    let replaced = desk.number("SELECT count(*) AS n FROM deliveries WHERE outcome = 25");
    assert_eq!((counts.audience, counts.skipped), (60 + 30, replaced));
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
    assert!(desk.journal("drop.launched")[1].contains(&format!("{replaced} unsent replaced, 30 added")));
}

#[actix_web::test]
async fn a_second_file_can_be_left_and_wakes_a_run_that_was_through() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, ids) = desk.daily("Arrears", "", &[("Main", "09:00-10:00", 600.0, None)]).await;
    desk.drops(campaign, "a.csv", &file(0, 10)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:00:30").await;
    let run = desk.run_of(ids[0]);
    assert_eq!(desk.state("schedule_runs", run.0), "completed");

    desk.drops(campaign, "b.csv", &file(5, 10)).await;
    let left = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{left}/leave")).await.status, 200);
    assert_eq!(desk.press(&format!("/drops/{left}/add")).await.status, 409);
    desk.drops(campaign, "c.csv", &file(5, 12)).await;
    let added = desk.drop_id("c.csv");
    assert_eq!(desk.press(&format!("/drops/{added}/add")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.run_until("2026-11-24 09:01:30").await;
    assert_eq!(desk.times_reached(17), [1; 17]);
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
}

#[actix_web::test]
async fn a_run_that_was_stopped_takes_no_second_file() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let both = &[("One", "09:00-10:00", 60.0, None), ("Two", "09:00-10:00", 60.0, None)];
    let (campaign, ids) = desk.daily("Arrears", "", both).await;
    desk.drops(campaign, "a.csv", &file(0, 5)).await;
    desk.tick().await;
    desk.drops(campaign, "b.csv", &file(5, 5)).await;
    let id = desk.drop_id("b.csv");
    let now = desk.app.clock.now();
    desk.db(|conn| {
        drops::decide(conn, id, Mode::Replace, desk.admin, now).unwrap();
        schedules::stop(conn, ids[0], desk.admin, now).unwrap();
    });
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    assert_eq!(desk.state("drops", id.0), "launched", "the other one took it");
    let runs = desk.runs_of(campaign);
    assert_eq!((desk.counts(runs[0]).audience, desk.counts(runs[1]).audience), (5, 10));

    desk.drops(campaign, "c.csv", &file(10, 5)).await;
    let id = desk.drop_id("c.csv");
    desk.db(|conn| drops::decide(conn, id, Mode::Add, desk.admin, now).unwrap());
    importer::tick(&desk.app).await.unwrap();
    desk.at("2026-11-24 10:00");
    desk.tick().await;
    assert_eq!(desk.state("drops", id.0), "refused");
    let page = desk.peek(&format!("/campaigns/{campaign}/drops")).await;
    page.shows("Today's runs take no more contacts.");
}

#[actix_web::test]
async fn new_columns_are_taken_in_place_and_old_runs_stay_untouched() {
    let mut desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 2)).await;
    desk.tick().await;
    let old = desk.column(
        "SELECT fields::text || (SELECT string_agg(\"values\"::text, '') FROM deliveries) AS t FROM schedule_runs",
    );

    desk.comes_back_at("2026-11-25 08:30").await;
    let phone = &phones(1)[0];
    // Another order, and a column more.
    desk.drops(campaign, "b.csv", &format!("city,balance,phone,name\nCork,7,+{phone},Anna\n")).await;
    desk.tick().await;
    let page = desk.peek(&format!("/campaigns/{campaign}/drops")).await;
    page.shows("New column, taken in as data: city.");
    assert_eq!(desk.journal("columns.added"), ["city came with b.csv"]);
    let values = desk.column("SELECT \"values\"::text AS t FROM deliveries WHERE run_id = 2");
    assert_eq!(values, [r#"{"city": "Cork", "name": "Anna", "balance": "7"}"#]);
    let still = desk.column(
        "SELECT fields::text || (SELECT string_agg(\"values\"::text, '') FROM deliveries WHERE run_id = 1) AS t FROM schedule_runs WHERE id = 1",
    );
    assert_eq!(still, old);

    desk.comes_back_at("2026-11-26 08:30").await;
    let page = desk.drops(campaign, "c.csv", &file(0, 2)).await;
    assert_eq!(page.status, 200, "a file without the new column is still good");
    desk.tick().await;
    assert_eq!(desk.journal("columns.added").len(), 1);
}

#[actix_web::test]
async fn groups_go_to_their_schedules_and_nobody_is_in_two() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let both = &[("North", "09:00-10:00", 60.0, Some("Dublin")), ("South", "09:00-10:00", 60.0, Some("cork"))];
    let (campaign, _) = desk.daily("Arrears", "", both).await;
    desk.drops(campaign, "a.csv", &cities(&[(0, "dublin "), (1, "Cork"), (2, "Galway"), (3, "")])).await;
    desk.tick().await;
    let page = desk.peek(&format!("/campaigns/{campaign}/drops")).await;
    page.shows("2 of them are in no group that a schedule serves and are not sent to.");
    let runs = desk.runs_of(campaign);
    assert_eq!((desk.counts(runs[0]).audience, desk.counts(runs[0]).no_group), (1, 2));
    assert_eq!((desk.counts(runs[1]).audience, desk.counts(runs[1]).no_group), (1, 0));
    assert_eq!(desk.counts(runs[0]).skipped, 0);

    // Contact 0 has moved, 2 has a group now, 4 is new: added, only the last two are sent to.
    desk.drops(campaign, "b.csv", &cities(&[(0, "Cork"), (2, "Dublin"), (4, "Cork")])).await;
    let id = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/add")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    assert_eq!((desk.counts(runs[0]).audience, desk.counts(runs[1]).audience), (2, 2));

    // Replaced, everybody goes where the last file says.
    desk.drops(campaign, "c.csv", &cities(&[(0, "Cork"), (1, "Dublin"), (5, "Dublin")])).await;
    let id = desk.drop_id("c.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/replace")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:01").await;
    assert_eq!(desk.times_reached(6), [1, 1, 0, 0, 0, 1]);
    let south: Vec<String> =
        desk.column(&format!("SELECT address AS t FROM deliveries WHERE run_id = {} AND outcome = 0", runs[1]));
    assert_eq!(south, [phones(1)[0].clone()]);
}

#[actix_web::test]
async fn two_schedules_for_one_group_both_send_to_it() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let both = &[("Morning", "09:00-10:00", 60.0, Some("Cork")), ("Evening", "18:00-19:00", 60.0, Some("Cork"))];
    let (campaign, _) = desk.daily("Arrears", "", both).await;
    desk.drops(campaign, "a.csv", &cities(&[(0, "Cork")])).await;
    desk.tick().await;
    desk.drops(campaign, "b.csv", &cities(&[(1, "Cork")])).await;
    let id = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/add")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    let runs = desk.runs_of(campaign);
    assert_eq!((desk.counts(runs[0]).audience, desk.counts(runs[1]).audience), (2, 2));
}

#[actix_web::test]
async fn a_window_that_closes_without_a_file_is_a_missed_day() {
    let mut desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", &[("Main", "09:00-18:00", 10.0, None)]).await;
    desk.at("2026-11-24 10:59:59");
    desk.tick().await;
    desk.visit("/campaigns").await.lacks("No file today");
    desk.at("2026-11-24 11:00");
    desk.tick().await;
    desk.tick().await;
    desk.visit("/campaigns").await.shows("No file today");
    desk.visit(&format!("/campaigns?open={campaign}")).await.shows("No file today.");
    assert_eq!(desk.journal("campaign.missed"), ["no file came on Tuesday 24 November"]);

    // It may still be let in.
    desk.drops(campaign, "late.csv", &file(0, 3)).await;
    let id = desk.drop_id("late.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/let-in")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    desk.visit("/campaigns").await.lacks("No file today");

    // Nothing worked for two days: both were missed. The weekend is not expected.
    desk.comes_back_at("2026-11-29 12:00").await;
    desk.tick().await;
    let days = "SELECT day::text AS t FROM missed_days ORDER BY day";
    assert_eq!(desk.column(days), ["2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"]);
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.shows("<b>Missed</b>");
    page.shows("Next slot");
}

#[actix_web::test]
async fn days_with_a_file_and_days_before_the_launch_or_in_a_pause_are_not_missed() {
    let mut desk = Desk::open_at("2026-11-24 11:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.tick().await;
    desk.comes_back_at("2026-11-25 08:30").await;
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    desk.at("2026-11-25 11:00");
    desk.tick().await;
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::pause(conn, campaign, desk.admin, now).unwrap());
    desk.at("2026-11-26 11:00");
    desk.tick().await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM missed_days"), 0);

    // A file that comes to nothing after the window has closed leaves the day without one.
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::resume(conn, campaign, desk.admin, now).unwrap());
    desk.comes_back_at("2026-11-27 08:59").await;
    desk.upload_with_htmx(&format!("/campaigns/{campaign}/drops"), "bad.csv", format!("{HEADER}x,y,1\n").as_bytes())
        .await;
    desk.at("2026-11-27 11:00");
    desk.tick().await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM missed_days"), 0, "it is on its way");
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    assert_eq!(desk.column("SELECT day::text AS t FROM missed_days"), ["2026-11-27"]);
}

#[actix_web::test]
async fn the_run_of_a_paused_schedule_is_made_and_paused() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let both = &[("One", "09:00-10:00", 600.0, None), ("Two", "09:00-10:00", 600.0, None)];
    let (campaign, ids) = desk.daily("Arrears", "", both).await;
    let now = desk.app.clock.now();
    desk.db(|conn| schedules::pause(conn, ids[0], desk.admin, now).unwrap());
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:00:30").await;
    assert_eq!(desk.times_reached(3), [1; 3]);
    assert_eq!(desk.state("schedule_runs", desk.run_of(ids[0]).0), "paused");

    let now = desk.app.clock.now();
    desk.db(|conn| schedules::resume(conn, ids[0], desk.admin, now).unwrap());
    desk.run_until("2026-11-24 09:01").await;
    assert_eq!(desk.times_reached(3), [2; 3]);
}

#[actix_web::test]
async fn a_paused_campaign_takes_its_file_and_sends_when_it_goes_on() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, ids) = desk.daily("Arrears", "", &[("Main", "09:00-10:00", 600.0, None)]).await;
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::pause(conn, campaign, desk.admin, now).unwrap());
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:00:30").await;
    assert!(desk.received().is_empty());
    assert_eq!(desk.state("schedule_runs", desk.run_of(ids[0]).0), "paused");
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::resume(conn, campaign, desk.admin, now).unwrap());
    desk.run_until("2026-11-24 09:01").await;
    assert_eq!(desk.times_reached(3), [1; 3]);
}

#[actix_web::test]
async fn of_two_people_who_drop_at_once_one_is_first_and_the_other_is_asked() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    let path = format!("/campaigns/{campaign}/drops");
    let (a, b) = (file(0, 3), file(3, 3));
    let (one, other) = futures_util::join!(
        desk.upload_with_htmx(&path, "a.csv", a.as_bytes()),
        desk.upload_with_htmx(&path, "b.csv", b.as_bytes())
    );
    assert_eq!((one.status, other.status), (200, 200));
    let states = desk.column("SELECT state AS t FROM drops ORDER BY state");
    assert_eq!(states, ["asked", "importing"]);

    // The one that is asked is added while the first is not imported yet, and waits for it.
    let asked = DropId(desk.number("SELECT id AS n FROM drops WHERE state = 'asked'"));
    let first = DropId(desk.number("SELECT id AS n FROM drops WHERE state = 'importing'"));
    assert_eq!(desk.press(&format!("/drops/{asked}/add")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    let now = desk.app.clock.now();
    if first < asked {
        assert_eq!(desk.db(|conn| drops::launch(conn, asked, now).unwrap()), Launch::Waits);
    }
    desk.tick().await;
    desk.tick().await;
    assert_eq!(desk.column("SELECT state AS t FROM drops"), ["launched", "launched"]);
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:01").await;
    assert_eq!(desk.times_reached(6), [1; 6]);
}

#[actix_web::test]
async fn an_import_whose_process_died_is_launched_once() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    let id = desk.drop_id("a.csv");
    let now = desk.app.clock.now();
    // Whoever dies in the middle leaves nothing of it.
    let died = desk.db(|conn| {
        conn.transaction::<(), diesel::result::Error, _>(|conn| {
            assert_eq!(drops::launch(conn, id, now).unwrap(), Launch::Done);
            Err(diesel::result::Error::RollbackTransaction)
        })
    });
    assert!(died.is_err());
    assert_eq!((desk.state("drops", id.0).as_str(), desk.runs_of(campaign).len()), ("importing", 0));

    let (one, other) = futures_util::join!(starter::launch_files(&desk.app), starter::launch_files(&desk.app));
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    assert_eq!(desk.runs_of(campaign).len(), 1);
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:01").await;
    assert_eq!(desk.times_reached(3), [1; 3]);
}

#[actix_web::test]
async fn a_stopped_or_archived_campaign_takes_no_file() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::stop(conn, campaign, desk.admin, now).unwrap());
    desk.tick().await;
    assert_eq!(desk.state("drops", desk.drop_id("a.csv").0), "refused", "it was on its way");
    assert!(desk.runs_of(campaign).is_empty());
    let page = desk.drops(campaign, "b.csv", &file(3, 3)).await;
    assert_eq!(page.status, 409);
    page.shows("The campaign was stopped; a stop is final. Duplicate it to run it again.");
    page.shows(&format!(r#"id="drops-{campaign}""#));
    page.lacks("Hand in the file");

    desk.db(|conn| campaigns::archive(conn, campaign, desk.admin, now).unwrap());
    let page = desk.drops(campaign, "b.csv", &file(3, 3)).await;
    page.shows("The campaign is archived.");
    desk.at("2026-11-24 11:00");
    desk.tick().await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM missed_days"), 0);
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.lacks("Hand in the file");
    page.lacks(&format!(r#"href="/campaigns/{campaign}/daily""#));
}

#[actix_web::test]
async fn rows_can_be_pasted_and_a_plain_form_comes_back_to_the_row() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "arrears-{date}.csv", MAIN).await;
    let cells = file(0, 3).replace(',', "\t");
    let answer = desk.upload(&format!("/campaigns/{campaign}/drops"), "", b"", &[("cells", &cells)]).await;
    assert_eq!(answer.location, Some(format!("/campaigns?open={campaign}#drops-{campaign}")));
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.shows("arrears-2026-11-24.csv");
    page.shows("3 contacts in today's runs.");

    let nothing = desk.upload(&format!("/campaigns/{campaign}/drops"), "", b"", &[]).await;
    assert_eq!(nothing.status, 422);
    nothing.shows("Drop a file, choose one, or paste its rows first.");
}

/// Hands in rows that were pasted, with htmx.
async fn pastes(desk: &Desk, campaign: CampaignId, cells: &str) -> Answer {
    let body = format!("--edge\r\nContent-Disposition: form-data; name=\"cells\"\r\n\r\n{cells}\r\n--edge--\r\n");
    let request = TestRequest::post()
        .uri(&format!("/campaigns/{campaign}/drops"))
        .insert_header(("HX-Request", "true"))
        .insert_header(("Sec-Fetch-Site", "same-origin"))
        .insert_header(("Content-Type", "multipart/form-data; boundary=edge"))
        .set_payload(body);
    let cookie = desk.sign_in("admin@example.org", "admin password").await;
    desk.send(request.cookie(cookie)).await
}

#[actix_web::test]
async fn why_yesterdays_file_stays_as_it_was_is_told_in_todays_panel() {
    let mut desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    desk.drops(campaign, "b.csv", &file(3, 3)).await;
    desk.comes_back_at("2026-11-25 08:30").await;
    let page = desk.press(&format!("/drops/{}/add", desk.drop_id("b.csv"))).await;
    assert_eq!(page.status, 409);
    page.shows("This file was dropped on another day. Drop today's file.");
    page.shows(&format!(r#"id="drops-{campaign}""#));
}

#[actix_web::test]
async fn pasted_rows_that_are_refused_are_not_lost() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "arrears-{date}.csv", MAIN).await;
    let page = pastes(&desk, campaign, "phone\tbalance\n+12025550100\t17").await;
    assert_eq!(page.status, 409);
    page.shows("The column “name” is missing.");
    page.shows("phone\tbalance\n+12025550100\t17</textarea>");

    let page = pastes(&desk, campaign, &"x".repeat((4 << 20) + 1)).await;
    assert_eq!(page.status, 422);
    page.shows("This is too much to paste.");
    page.shows(&format!(r#"id="drops-{campaign}""#));

    let page = pastes(&desk, campaign, &file(0, 3).replace(',', "\t")).await;
    assert_eq!(page.status, 200);
    page.lacks("Name1");
}

#[actix_web::test]
async fn the_plan_is_changed_only_where_a_file_may_still_come() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (other, _, _) = desk.campaign("Offer", 1, "09:00-10:00", 60.0).await;
    assert_eq!(desk.visit(&format!("/campaigns/{other}/daily")).await.status, 404);

    let (campaign, _) = desk.daily("Arrears", "", MAIN).await;
    let plan = format!("/campaigns/{campaign}/daily");
    desk.visit(&format!("/campaigns?open={campaign}")).await.shows(&format!("href=\"{plan}\""));
    assert_eq!(desk.visit(&plan).await.status, 200);
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::stop(conn, campaign, desk.admin, now).unwrap());
    assert_eq!(desk.visit(&plan).await.status, 409);
    let form = [("opens", "07:35"), ("closes", "09:00"), ("tue", "on")];
    let page = desk.fill_in(&plan, &form).await;
    assert_eq!(page.status, 409);
    page.shows("It was not saved. The campaign was stopped;");
    page.shows("value=\"07:35\"");
}

#[actix_web::test]
async fn a_daily_campaign_is_launched_only_when_its_file_is_described() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let campaign = desk.daily_draft("Arrears", "arrears.csv", MAIN).await;
    desk.sql("DELETE FROM daily_plans");
    let page = desk.visit(&format!("/campaigns/{campaign}/edit")).await;
    page.shows("Say on which days and between which times the daily file is expected.");
    let form = [("opens", "10:00"), ("closes", "09:00"), ("expected_name", "{day}.csv")];
    let page = desk.fill_in(&format!("/campaigns/{campaign}/daily"), &form).await;
    assert_eq!(page.status, 422);
    page.shows("The window closes on the same day: choose a time after it opens.");
    page.shows("Choose at least one day of the week.");
    page.shows("{day} stands for nothing.");
    page.shows("value=\"10:00\"");

    let form = [("opens", "07:30"), ("closes", "09:00"), ("expected_name", "x-{date}.csv"), ("tue", "on")];
    let page = desk.fill_in(&format!("/campaigns/{campaign}/daily"), &form).await;
    assert_eq!(page.location, Some(format!("/campaigns/{campaign}/edit#daily")));
    desk.visit(&format!("/campaigns/{campaign}/edit")).await.shows("value=\"07:30\"");
    let answer = desk.submit(&format!("/campaigns/{campaign}/launch")).await;
    assert_eq!(answer.status, 303);
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.shows("07:30 and 09:00");
    page.shows("x-2026-11-24.csv");

    // It is found by the name it expects, and a copy has the same plan.
    desk.visit("/campaigns?q=X-%7Bdate").await.shows("Arrears");
    assert_eq!(desk.submit(&format!("/campaigns/{campaign}/duplicate")).await.status, 303);
    assert_eq!(desk.number("SELECT count(*) AS n FROM daily_plans WHERE opens = '07:30' AND days = 2"), 2);
    assert_eq!(desk.number("SELECT count(*) AS n FROM daily_plans WHERE template IS NULL"), 1);
}

#[actix_web::test]
async fn a_second_file_reaches_nobody_through_a_schedule_that_was_paused_or_stopped() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let three = ["One", "Two", "Three"].map(|name| (name, "09:00-10:00", 600.0, None));
    let (campaign, ids) = desk.daily("Arrears", "", &three).await;
    desk.drops(campaign, "a.csv", &file(0, 3)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:00:30").await;
    assert_eq!(desk.times_reached(3), [3; 3]);

    // All three runs are through; a schedule can be paused and stopped for the days to come.
    let now = desk.app.clock.now();
    desk.db(|conn| schedules::stop(conn, ids[0], desk.admin, now).unwrap());
    desk.db(|conn| schedules::pause(conn, ids[1], desk.admin, now).unwrap());
    desk.drops(campaign, "b.csv", &file(3, 10)).await;
    let id = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/add")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.run_until("2026-11-24 09:02").await;
    assert_eq!(desk.times_reached(13)[3..], [1; 10], "only through the third");
    assert_eq!(desk.state("schedule_runs", desk.run_of(ids[0]).0), "completed");
    assert_eq!(desk.state("schedule_runs", desk.run_of(ids[1]).0), "paused");

    let now = desk.app.clock.now();
    desk.db(|conn| schedules::resume(conn, ids[1], desk.admin, now).unwrap());
    desk.run_until("2026-11-24 09:03").await;
    assert_eq!(desk.times_reached(13)[3..], [2; 10]);
}

#[actix_web::test]
async fn a_run_that_was_extended_into_the_next_day_is_held_and_stopped_together_with_that_days() {
    for by_campaign in [false, true] {
        let mut desk = Desk::open_at("2026-11-24 08:30").await;
        let (campaign, ids) = desk.daily("Arrears", "", MAIN).await;
        desk.drops(campaign, "a.csv", &file(0, 600)).await;
        desk.at("2026-11-24 08:59:59");
        desk.run_until("2026-11-24 09:11").await;
        assert_eq!(desk.received().len(), 100, "it ran out of time");

        desk.comes_back_at("2026-11-25 08:58").await;
        let now = desk.app.clock.now();
        let end = "10:30:00".parse::<chrono::NaiveTime>().unwrap();
        desk.db(|conn| campaigns::extend(conn, ids[0], end, desk.admin, now).unwrap());
        desk.drops(campaign, "b.csv", &file(600, 100)).await;
        desk.tick().await;
        desk.run_until("2026-11-25 09:02").await;
        let runs = desk.runs_of(campaign);
        assert_eq!(runs.iter().map(|run| desk.state("schedule_runs", run.0)).collect::<Vec<_>>(), ["running"; 2]);
        // The screen shows both: yesterday's with its own numbers, and all of them in the campaign's.
        let panel = desk.peek(&format!("/schedules/{}", ids[0])).await;
        panel.shows(&format!("Still open:</b> <a href=\"/runs/{}\">Arrears-2026-11-24</a>", runs[0]));
        panel.shows(&format!("sse-swap=\"run-{}-progress\"", runs[0]));
        panel.shows("/ 600</a>");
        panel.shows("/ 100</a>");
        desk.peek(&format!("/campaigns/{campaign}/head")).await.shows("/ 700</span>");

        let now = desk.app.clock.now();
        desk.db(|conn| match by_campaign {
            true => campaigns::pause(conn, campaign, desk.admin, now).unwrap(),
            false => schedules::pause(conn, ids[0], desk.admin, now).unwrap(),
        });
        let paused = desk.received().len();
        desk.run_until("2026-11-25 09:05").await;
        assert_eq!(desk.received().len(), paused, "nothing leaves, whichever of its runs it is of");

        let now = desk.app.clock.now();
        desk.db(|conn| match by_campaign {
            true => campaigns::resume(conn, campaign, desk.admin, now).unwrap(),
            false => schedules::resume(conn, ids[0], desk.admin, now).unwrap(),
        });
        desk.run_until("2026-11-25 09:07").await;
        let resumed = desk.received();
        for run in &runs {
            let ours = resumed[paused..].iter().any(|it| it.part.starts_with(&format!("{run}-")));
            assert!(ours, "run {run} goes on");
        }

        let now = desk.app.clock.now();
        desk.db(|conn| match by_campaign {
            true => campaigns::stop(conn, campaign, desk.admin, now).unwrap(),
            false => schedules::stop(conn, ids[0], desk.admin, now).unwrap(),
        });
        desk.run_until("2026-11-25 09:10").await;
        assert_eq!(desk.received().len(), resumed.len());
        assert_eq!(runs.iter().map(|run| desk.state("schedule_runs", run.0)).collect::<Vec<_>>(), ["stopped"; 2]);
        assert_eq!(desk.campaign_state(campaign), "stopped");
    }
}

#[actix_web::test]
async fn a_file_that_replaces_another_has_its_own_first_contacts() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, ids) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 60)).await;
    desk.tick().await;
    let run = desk.run_of(ids[0]);
    desk.db(|conn| {
        let canary = r#"UPDATE schedule_runs SET rules = '{"canary": {"first": 5, "minutes": 5, "most_failed": 10}}'"#;
        diesel::sql_query(canary).execute(conn).unwrap()
    });
    desk.drops(campaign, "b.csv", &file(60, 30)).await;
    let id = desk.drop_id("b.csv");
    assert_eq!(desk.press(&format!("/drops/{id}/replace")).await.status, 200);
    importer::tick(&desk.app).await.unwrap();
    desk.tick().await;
    let run = desk.db(|conn| bugle::runs::store::find(conn, run).unwrap());
    assert_eq!((run.unclaimed(), run.canary_left()), (30, Some(5)));
}

#[actix_web::test]
async fn a_campaign_is_paused_in_the_moment_in_which_a_run_without_time_is_about_to_end() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, ids) = desk.daily("Arrears", "", MAIN).await;
    desk.drops(campaign, "a.csv", &file(0, 100)).await;
    desk.at("2026-11-24 08:59:59");
    desk.run_until("2026-11-24 09:02").await;
    let now = desk.app.clock.now();
    desk.db(|conn| schedules::pause(conn, ids[0], desk.admin, now).unwrap());

    // Its end has passed, and nothing has looked at it since.
    desk.at("2026-11-24 09:10");
    let now = desk.app.clock.now();
    desk.db(|conn| schedules::resume(conn, ids[0], desk.admin, now).unwrap());
    desk.db(|conn| campaigns::pause(conn, campaign, desk.admin, now).unwrap());
    assert_eq!(desk.state("schedules", ids[0].0), "paused");
    assert_eq!(desk.campaign_state(campaign), "paused");
}

/// Drops a file with a number that has two readings, and looks at the campaign when it is through.
async fn dropped(desk: &Desk, campaign: CampaignId, name: &str) -> Answer {
    let file = format!("{HEADER}49331123456,Anna,1\n0331 123457,Ben,2\n");
    desk.upload_with_htmx(&format!("/campaigns/{campaign}/drops"), name, file.as_bytes()).await;
    importer::tick(&desk.app).await.unwrap();
    starter::tick(&desk.app).await.unwrap();
    desk.visit(&format!("/campaigns?open={campaign}")).await
}

/// What is made of numbers with two readings is kept for the files to come, and can be chosen anew.
#[actix_web::test]
async fn the_files_of_each_day_follow_the_choice_about_two_readings() {
    let mut desk = Desk::open_at("2026-11-24 08:30").await;
    let draft = desk.daily_draft("Arrears", "", MAIN).await;
    desk.sql("UPDATE files SET region = 'DE'");
    let now = desk.app.clock.now();
    desk.db(|conn| bugle::drafting::actions::launch(conn, draft, desk.admin, now).unwrap());
    let first = desk.visit(&format!("/campaigns?open={draft}")).await;
    first.shows("Numbers that could be read two ways</dt><dd>are left out");
    dropped(&desk, draft, "one.csv").await.shows("1 row could be read two ways and was left out.");
    let choice = [("two_ways", "inside")];
    assert_eq!(desk.fill_in(&format!("/campaigns/{draft}/daily/two-ways"), &choice).await.status, 303);
    desk.comes_back_at("2026-11-25 08:30").await;
    let page = dropped(&desk, draft, "two.csv").await;
    page.shows("1 row could be read two ways and was read as dialled inside the country.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_rows WHERE address = '4949331123456'"), 1);
    let why = "SELECT became AS t FROM journal WHERE happened = 'daily.two_ways_chosen'";
    assert_eq!(desk.column(why), ["read as dialled inside the country"]);
}

#[actix_web::test]
async fn a_refusal_is_a_sentence_and_goes_when_somebody_has_read_it() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "arrears-{date}.csv", MAIN).await;
    let page = desk.drops(campaign, "other.csv", &file(0, 2)).await;
    page.shows("<b>The file has another name.</b>");
    page.shows("Accept this name once");
    let id = desk.drop_id("other.csv");
    let page = desk.press(&format!("/drops/{id}/dismiss")).await;
    assert_eq!(page.status, 200);
    page.lacks("other.csv");
    page.shows("No file has come today.");
    assert_eq!(desk.journal("drop.dismissed"), ["other.csv"]);
    desk.press(&format!("/drops/{id}/dismiss")).await;
    assert_eq!(desk.journal("drop.dismissed").len(), 1, "once");

    // What is in today's runs stays there.
    desk.drops(campaign, "arrears-2026-11-24.csv", &file(0, 2)).await;
    let taken = desk.drop_id("arrears-2026-11-24.csv");
    assert_eq!(desk.press(&format!("/drops/{taken}/dismiss")).await.status, 409);
    desk.peek(&format!("/campaigns/{campaign}/drops")).await.shows("arrears-2026-11-24.csv");
}
