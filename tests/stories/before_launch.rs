//! What is found out about a draft before anything leaves: the check of every message,
//! a test to oneself, a second person, and a preview that comes true.

use std::collections::BTreeMap;

use actix_web::cookie::Cookie;
use actix_web::test::TestRequest;
use bugle::access::{Actor, Role};
use bugle::control::actions;
use bugle::drafting::dry_run;
use bugle::drafting::review::{self, Facts};
use bugle::engine::{checker, importer};
use bugle::ids::CampaignId;
use bugle::lists;
use bugle::pacing::Quiet;
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;
use bugle::providers::Kind;
use bugle::settings::{self, ApprovalRule};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::desk::{Answer, Desk, instant};

/// A draft to the contacts of a file, imported. Returns the path that everything of it begins with.
pub async fn draft(desk: &Desk, name: &str, rows: &str) -> String {
    let answer = desk.fill_in("/campaigns", &[("name", name), ("kind", "once_off"), ("time_zone", "UTC")]).await;
    let path = answer.location.unwrap().strip_suffix("/edit").unwrap().to_owned();
    desk.upload(&format!("{path}/file"), "people.csv", rows.as_bytes(), &[]).await;
    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    assert_eq!(desk.fill_in(&format!("/files/{file}/import"), &mapping).await.status, 303);
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    path
}

fn id(path: &str) -> CampaignId {
    CampaignId(path.rsplit('/').next().unwrap().parse().unwrap())
}

fn facts(desk: &Desk, path: &str) -> Facts {
    let now = desk.app.clock.now();
    desk.db(|conn| review::gather(conn, id(path), desk.admin, now).unwrap())
}

/// Adds a schedule from 09:00 to 09:10, with these fields beside or instead of the usual.
pub async fn schedule(desk: &Desk, path: &str, fields: &[(&str, &str)]) -> Answer {
    let channel = desk.channel.to_string();
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([
        ("schedule_name", "Main"),
        ("channel", channel.as_str()),
        ("body", "Hi #name"),
        ("date", "2026-03-02"),
        ("start", "09:00"),
        ("end", "09:10"),
        ("rate", "60"),
    ]);
    all.extend(fields.iter().copied());
    let all: Vec<_> = all.into_iter().collect();
    let answer = desk.fill_in(&format!("{path}/schedules"), &all).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    answer
}

/// Opens the page of a draft, which begins the check by itself; looking alone orders nothing.
async fn begins_its_check(desk: &Desk, path: &str) -> Answer {
    let before = desk.number("SELECT count(*) AS n FROM dry_runs WHERE done_at IS NULL");
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows(&format!(r#"hx-post="{path}/check" hx-trigger="load""#));
    assert_eq!(desk.number("SELECT count(*) AS n FROM dry_runs WHERE done_at IS NULL"), before);
    let check = desk.press(&format!("{path}/check")).await;
    check.shows(r#"hx-trigger="every 1s""#);
    check.lacks(r#"hx-trigger="load""#);
    check
}

// ---- every message ---------------------------------------------------------------

/// A row of each kind of trouble, and one of none.
fn troubles() -> String {
    let long = "x".repeat(1_000);
    format!(
        "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,,cork\n+12025550103,Łukasz,Cork \n\
         +12025550104,Dora,Cork\n+12025550105,Emil,Cork\n+12025550106,{long},Cork\n+12025550101,Anna again,Cork\n\
         12,Short,Cork\n+12025550107,Gus,Galway\n+12025550108,Hanna,\n"
    )
}

#[actix_web::test]
async fn every_message_is_written_and_weighed_before_one_leaves() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", &troubles()).await;
    desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await;
    schedule(&desk, &path, &[("schedule_name", "Cork"), ("group", "CORK")]).await;
    desk.sql("INSERT INTO blocklist (kind, address, added_at) VALUES ('sms', '12025550104', now())");
    desk.sql("UPDATE contacts SET opted_out_at = now() WHERE address = '12025550105'");

    // So few are checked without being asked to.
    begins_its_check(&desk, &path).await.shows("0 of 8 contacts checked.");
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 1);
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 0, "once is enough");
    let (_, checked) = facts(&desk, &path).dry_run.unwrap().done.unwrap();
    assert_eq!((checked.no_group, checked.duplicates, checked.not_taken), (2, 1, 1));
    let cork = &checked.schedules[0];
    assert_eq!((cork.contacts, cork.sent(), cork.blocklisted, cork.opted_out), (6, 3, 1, 1));
    assert_eq!(cork.missing, BTreeMap::from([("name".to_owned(), 1)]));
    // One SMS, one in Unicode, and one of 1,003 characters that takes seven.
    assert_eq!((cork.too_long, cork.unicode, cork.parts), (1, 1, 9));
    let named: Vec<_> = cork.examples.iter().map(|it| (it.row, it.why.as_str())).collect();
    assert_eq!(named, [(3, "no value for #name"), (5, "on the blocklist"), (6, "opted out"), (7, "too long: 7 SMS")]);

    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows("3 of 6");
    // The cost above says the same as the check below.
    page.shows("<dt>Cost</dt><dd>9 SMS for 3 contacts, 1 of them in Unicode</dd>");
    page.lacks("about ");
    page.shows("2 contacts are in no group that a schedule serves.");
    page.shows("Left out at the import: 1 row came twice, 1 row could not be taken.");
    page.shows("1 row has a value that no schedule serves: “Galway”. 1 row has nothing in #city.");

    // The ledger says the same afterwards.
    desk.submit(&format!("{path}/launch")).await;
    desk.tick().await;
    desk.at("2026-03-02 08:59:59");
    desk.run_until("2026-03-02 09:01").await;
    let bodies: Vec<_> = desk.received().into_iter().map(|it| it.body.chars().take(9).collect::<String>()).collect();
    assert_eq!(bodies, ["Hi Anna", "Hi Łukasz", "Hi xxxxxx"]);
    assert_eq!(desk.number("SELECT count(*) AS n FROM deliveries WHERE outcome = 21"), 2);
}

#[actix_web::test]
async fn who_seems_to_have_opted_out_is_counted_before_the_launch_as_after_it() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    desk.sql("UPDATE contacts SET doubted_at = now() WHERE address = '12025550102'");
    desk.visit("/contacts").await.shows("In doubt");
    begins_its_check(&desk, &path).await;
    checker::tick(&desk.app).await.unwrap();
    let (_, checked) = facts(&desk, &path).dry_run.unwrap().done.unwrap();
    assert_eq!((checked.schedules[0].sent(), checked.schedules[0].doubted), (1, 1));
    desk.peek(&format!("{path}/check")).await.shows("seem to have opted out");

    desk.submit(&format!("{path}/launch")).await;
    desk.tick().await;
    desk.at("2026-03-02 08:59:59");
    desk.run_until("2026-03-02 09:01").await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM deliveries WHERE outcome = 28"), 1);
}

#[actix_web::test]
async fn a_check_holds_until_something_is_changed() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", "phone,name,city\n+12025550101,Anna,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    begins_its_check(&desk, &path).await;
    checker::tick(&desk.app).await.unwrap();
    let check = format!("{path}/check");
    desk.peek(&check).await.shows("Every contact gets a message.");
    desk.fill_in(&format!("{path}/edit"), &[("name", "Other name"), ("time_zone", "UTC")]).await;
    desk.peek(&check).await.shows("Every contact gets a message.");

    desk.sql("UPDATE schedules SET body = 'Hello #name'");
    let stale = desk.peek(&check).await;
    stale.shows("Something was changed since this check.");
    stale.lacks("Every contact gets a message.");
    let again = desk.press(&check).await;
    again.shows(r#"hx-trigger="every 1s""#);
    again.lacks("<html");
    checker::tick(&desk.app).await.unwrap();
    desk.peek(&check).await.shows("Every contact gets a message.");
}

#[actix_web::test]
async fn a_check_whose_worker_died_is_started_over() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    desk.submit(&format!("{path}/check")).await;
    desk.sql(
        "UPDATE dry_runs SET state = 'running', rows_done = 1, worker = gen_random_uuid(),
                lease_ends_at = '2026-03-02 08:00:30+00'",
    );
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 0, "somebody is at it");
    desk.at("2026-03-02 08:00:31");
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 1);
    let (_, checked) = facts(&desk, &path).dry_run.unwrap().done.unwrap();
    assert_eq!(checked.schedules[0].sent(), 2);
}

#[actix_web::test]
async fn many_are_checked_only_when_somebody_asks() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", "phone,name,city\n+12025550101,Anna,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    desk.sql(&format!("UPDATE files SET rows_good = {}", dry_run::UNASKED + 1));
    desk.visit(&format!("{path}/edit")).await.shows(">Check every message</button>");
    assert_eq!(desk.number("SELECT count(*) AS n FROM dry_runs"), 0);
}

#[actix_web::test]
async fn contacts_of_lists_are_checked_too_and_another_member_is_another_audience() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let (admin, now) = (desk.admin, desk.app.clock.now());
    desk.sql(
        "INSERT INTO contacts (kind, address, \"values\") SELECT 'sms', '1202555' || lpad(n::text, 4, '0'),
                CASE WHEN n = 7 THEN '{}' ELSE jsonb_build_object('name', 'Person ' || n) END FROM generate_series(1, 30) n",
    );
    let (everybody, some) = desk.db(|conn| {
        let everybody = lists::store::insert(conn, "Everybody", Kind::Sms, None, admin, now).unwrap();
        let some = lists::store::insert(conn, "Not these", Kind::Sms, None, admin, now).unwrap();
        (everybody, some)
    });
    desk.sql(&format!(
        "INSERT INTO list_members (list_id, contact_id, added_at) SELECT {everybody}, id, now() FROM contacts"
    ));
    desk.sql(&format!(
        "INSERT INTO list_members (list_id, contact_id, added_at) SELECT {some}, id, now() FROM contacts WHERE address = '12025550001'"
    ));
    let answer = desk.fill_in("/campaigns", &[("name", "Offer"), ("kind", "once_off"), ("time_zone", "UTC")]).await;
    let path = answer.location.unwrap().strip_suffix("/edit").unwrap().to_owned();
    let chosen = [("include", everybody.to_string()), ("exclude", some.to_string())];
    let chosen: Vec<_> = chosen.iter().map(|(field, list)| (*field, list.as_str())).collect();
    desk.fill_in(&format!("{path}/lists"), &chosen).await;
    schedule(&desk, &path, &[]).await;
    begins_its_check(&desk, &path).await;
    checker::tick(&desk.app).await.unwrap();
    let found = facts(&desk, &path);
    let check = found.dry_run.unwrap();
    let (_, checked) = check.done.unwrap();
    assert_eq!((checked.schedules[0].contacts, checked.schedules[0].n_missing()), (29, 1));
    assert_eq!(check.fingerprint, found.fingerprint);

    desk.sql(&format!("DELETE FROM list_members WHERE list_id = {some}"));
    desk.peek(&format!("{path}/check")).await.shows("Something was changed since this check.");
    begins_its_check(&desk, &path).await;
    checker::tick(&desk.app).await.unwrap();
    desk.sql("UPDATE contacts SET \"values\" = '{\"name\": \"Other\"}' WHERE address = '12025550007'");
    desk.peek(&format!("{path}/check")).await.shows("Something was changed since this check.");
}

// ---- a test to oneself -------------------------------------------------------------

#[actix_web::test]
async fn a_test_reaches_ones_phone_and_counts_for_nothing() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,Galway\n").await;
    desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await;
    schedule(&desk, &path, &[("group", "Galway")]).await;
    // Whoever waits beside the phone does not wait for the quiet hours to end.
    let quiet = Quiet::new("07:00:00".parse().unwrap(), "08:30:00".parse().unwrap()).unwrap();
    let now = desk.app.clock.now();
    desk.db(|conn| settings::actions::set_quiet(conn, Some(quiet), 0, desk.admin, now).unwrap());
    let schedule = desk.number("SELECT id AS n FROM schedules");
    let test = format!("{path}/schedules/{schedule}/test");

    let wrong = desk.fill_in(&test, &[("number", "12")]).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("is not a phone number");
    wrong.shows(r#"value="12""#);

    let page = desk.fill_in_with_htmx(&test, &[("number", "+1 202 555 0177")]).await;
    page.shows("to 12025550177.");
    page.shows(r#"hx-trigger="every 1s""#);
    desk.tick().await;
    desk.tick().await;
    let received = desk.received();
    assert_eq!((received.len(), received[0].phone.as_str(), received[0].body.as_str()), (1, "12025550177", "Hi Ben"));
    let page = desk.peek(&test).await;
    page.shows("delivered");
    page.shows("Your own number");
    page.lacks("every 1s");

    assert_eq!(desk.campaign_state(id(&path)), "draft");
    let sheet = desk.db(|conn| bugle::screen::store::sheet(conn, id(&path)).unwrap());
    assert!(sheet.lines[0].run.is_none(), "the campaign has had no run");
    desk.submit(&format!("{path}/launch")).await;
    desk.tick().await;
    let run = desk.number("SELECT id AS n FROM schedule_runs WHERE purpose = 'campaign' AND schedule_id > 0");
    let counts = desk.counts(bugle::ids::RunId(run));
    assert_eq!((counts.audience, counts.no_group), (1, 1), "one to send to, one of no group");
    assert_eq!(desk.fill_in(&test, &[("number", "+12025550177")]).await.status, 409, "it is a draft no more");
}

#[actix_web::test]
async fn a_test_keeps_to_the_blocklist_and_stop_covers_it() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let path = draft(&desk, "Offer", "phone,name,city\n+12025550101,Anna,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    let schedule = desk.number("SELECT id AS n FROM schedules");
    let test = format!("{path}/schedules/{schedule}/test");
    desk.sql("INSERT INTO blocklist (kind, address, added_at) VALUES ('sms', '12025550177', now())");
    desk.fill_in(&test, &[("number", "+12025550177")]).await;
    desk.tick().await;
    desk.peek(&test).await.shows("blocklisted");

    desk.later(5);
    desk.fill_in(&test, &[("number", "+12025550178")]).await;
    let now = desk.app.clock.now();
    desk.db(|conn| actions::stop_all(conn, desk.admin, now).unwrap());
    desk.tick().await;
    assert!(desk.received().is_empty());
    desk.peek(&test).await.shows("stopped");
    // Its tests go with a draft that is thrown away.
    assert_eq!(desk.submit(&format!("{path}/discard")).await.status, 303);
}

// ---- a second person -----------------------------------------------------------------

struct Colleague(Cookie<'static>);

impl Colleague {
    async fn of(desk: &Desk) -> Colleague {
        let (now, new) = (
            desk.app.clock.now(),
            NewUser {
                email: "ben@example.org".into(),
                name: "Ben".into(),
                role: Role::Manager,
                password: "ben's password".into(),
            },
        );
        desk.db(|conn| add_user(conn, &new, Actor::Shell, now).unwrap());
        Colleague(desk.sign_in("ben@example.org", "ben's password").await)
    }

    async fn visits(&self, desk: &Desk, path: &str) -> Answer {
        desk.send(TestRequest::get().uri(path).cookie(self.0.clone())).await
    }

    async fn fills_in(&self, desk: &Desk, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", "same-origin"));
        desk.send(request.set_form(fields).cookie(self.0.clone())).await
    }

    /// Approves what the page shows now.
    async fn approves(&self, desk: &Desk, path: &str) -> Answer {
        let page = self.visits(desk, &format!("{path}/edit")).await;
        let seen = page.html.split(r#"name="fingerprint" value=""#).nth(1).expect("a form to approve with");
        let seen = seen.split('"').next().unwrap();
        self.fills_in(desk, &format!("{path}/approve"), &[("fingerprint", seen), ("note", "Looks good")]).await
    }
}

#[actix_web::test]
async fn where_the_house_wants_it_a_second_person_approves_exactly_what_is_launched() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let now = desk.app.clock.now();
    desk.db(|conn| settings::actions::set_approval(conn, ApprovalRule::Above(1), desk.admin, now).unwrap());
    let ben = Colleague::of(&desk).await;
    let one = draft(&desk, "One", "phone,name,city\n+12025550101,Anna,Cork\n").await;
    schedule(&desk, &one, &[]).await;
    desk.visit(&format!("{one}/edit")).await.lacks("A second person");

    let path = draft(&desk, "Two", "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    let launch = format!("{path}/launch");
    let page = desk.submit(&launch).await;
    assert_eq!(page.status, 422);
    page.shows("A second person has to approve this launch first.");
    page.shows(&format!("{path}/edit#approval"));

    assert_eq!(ben.approves(&desk, &path).await.status, 303);
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows("Approved by Ben on");
    page.shows("“Looks good”");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'campaign.approved'"), 1);

    // Who approved leaves the launch to another.
    let page = ben.fills_in(&desk, &launch, &[]).await;
    assert_eq!(page.status, 422);
    page.shows("You approved this launch yourself.");

    // Another text is another launch.
    let schedule = desk.number("SELECT max(id) AS n FROM schedules");
    desk.sql(&format!("UPDATE schedules SET body = 'Buy now' WHERE id = {schedule}"));
    let page = desk.submit(&launch).await;
    assert_eq!(page.status, 422);
    page.shows("before it was changed. Ask again.");
    assert_eq!(desk.campaign_state(id(&path)), "draft");

    assert_eq!(ben.approves(&desk, &path).await.status, 303);
    assert_eq!(desk.submit(&launch).await.status, 303);
    assert_eq!(desk.campaign_state(id(&path)), "active");
}

#[actix_web::test]
async fn what_was_changed_while_somebody_looked_is_not_approved() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let now = desk.app.clock.now();
    desk.db(|conn| settings::actions::set_approval(conn, ApprovalRule::Every, desk.admin, now).unwrap());
    let ben = Colleague::of(&desk).await;
    let path = draft(&desk, "Two", "phone,name,city\n+12025550101,Anna,Cork\n").await;
    schedule(&desk, &path, &[]).await;
    let seen = facts(&desk, &path).fingerprint;
    desk.sql("UPDATE schedules SET body = 'Buy now'");
    let form = [("fingerprint", seen.as_str()), ("note", "Looks good")];
    let page = ben.fills_in(&desk, &format!("{path}/approve"), &form).await;
    assert_eq!(page.status, 422);
    page.lacks("It was not launched.");
    let card = page.html.split(r#"id="approval""#).nth(1).unwrap();
    assert!(card.contains("It was not approved. The campaign was changed while you looked at it."), "{card}");
    assert!(card.contains(r#"name="note" value="Looks good""#), "{card}");
    assert_eq!(desk.number("SELECT count(*) AS n FROM approvals"), 0);
}

// ---- the preview ------------------------------------------------------------------------

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap()
}

#[actix_web::test]
async fn what_the_preview_shows_of_a_grouped_run_with_quiet_hours_comes_true() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let quiet = Quiet::new("09:04:00".parse().unwrap(), "09:06:00".parse().unwrap()).unwrap();
    let now = desk.app.clock.now();
    desk.db(|conn| settings::actions::set_quiet(conn, Some(quiet), 0, desk.admin, now).unwrap());
    let mut rows = "phone,name,city\n".to_owned();
    for n in 0..60 {
        rows += &format!("+12025550{n:03},Person,{}\n", if n % 3 == 0 { "Galway" } else { "Cork" });
    }
    let path = draft(&desk, "Offer", &rows).await;
    desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await;
    schedule(&desk, &path, &[("group", "cork"), ("pace", "auto"), ("rate", "")]).await;

    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows("Nothing is sent 09:04 – 09:06.");
    page.shows(r#"<rect class="chart-hold""#);
    page.shows("20 rows have a value that no schedule serves: “Galway”.");
    let facts = facts(&desk, &path);
    let planned: BTreeMap<_, _> = facts.reviews[0].outlook.forecast.minutes.iter().copied().collect();
    assert_eq!(planned.values().sum::<i64>(), 40);

    desk.submit(&format!("{path}/launch")).await;
    desk.tick().await;
    desk.at("2026-03-02 08:59:59");
    desk.run_until("2026-03-02 09:10:01").await;
    let mut sent: BTreeMap<DateTime<Utc>, i64> = BTreeMap::new();
    for received in desk.received() {
        *sent.entry(minute(received.at)).or_default() += 1;
    }
    assert_eq!(sent, planned);
    assert!(!sent.contains_key(&instant("2026-03-02 09:04")) && !sent.contains_key(&instant("2026-03-02 09:05")));
}

// ---- a yes of its own ----------------------------------------------------------------

/// `n` different numbers that exist, so that an import takes them.
fn existing(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("1202{:05}{:02}", 20_000 + n / 80, n % 80)).collect()
}

fn people(n: usize) -> String {
    existing(n).iter().map(|phone| format!("+{phone},Anna,Cork\n")).collect()
}

/// What would leave at once wants a yes with its figure, which is counted again as it is launched.
#[actix_web::test]
async fn what_leaves_at_once_is_agreed_to_with_its_figure() {
    let desk = Desk::open_at("2026-03-02 08:30").await;
    let path = draft(&desk, "Late", &format!("phone,name,city\n{}", people(300))).await;
    schedule(&desk, &path, &[("rate", "20"), ("end", "10:00"), ("late", "catch_up")]).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    page.lacks("Only with a yes of its own");
    page.shows("first to <span class=\"num\">+1 202");
    page.shows("1 of 5: <span class=\"num\">+1 202");
    page.shows("5 of 5: <span");

    // Five minutes late, a hundred were due; in the time that somebody looks it may become two hundred.
    desk.at("2026-03-02 09:05");
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows(r#"<input type="checkbox" name="at_once" value="200" form="launch-form" required>"#);
    let launch = format!("{path}/launch");
    let unasked = desk.submit(&launch).await;
    assert_eq!(unasked.status, 422);
    unasked.shows("It was not launched. It is 100 at once. Say yes to it below");
    let less = desk.fill_in(&launch, &[("at_once", "99")]).await;
    less.shows("It was 99 when you agreed, and has become 100 at once.");
    assert_eq!(desk.fill_in(&launch, &[("late_start", "300")]).await.status, 422, "that is another matter");
    assert_eq!(desk.number("SELECT count(*) AS n FROM campaigns WHERE state = 'draft'"), 1);

    // What somebody saw a while ago is no longer enough.
    desk.at("2026-03-02 09:11");
    desk.fill_in(&launch, &[("at_once", "200")]).await.shows("It was 200 when you agreed, and has become 220 at once.");
    assert_eq!(desk.fill_in(&launch, &[("at_once", "240")]).await.status, 303);
    assert_eq!(desk.lines("SELECT why AS line FROM journal WHERE happened = 'campaign.launched'"), ["220 at once"]);
}

#[actix_web::test]
async fn a_late_start_without_a_burst_wants_a_yes_as_well() {
    let desk = Desk::open_at("2026-03-02 09:04").await;
    let path = draft(&desk, "Late", &format!("phone,name,city\n{}", people(30))).await;
    schedule(&desk, &path, &[("rate", "60"), ("late", "keep_rate")]).await;
    let launch = format!("{path}/launch");
    desk.submit(&launch).await.shows("It is 30 after a start that has passed.");
    assert_eq!(desk.fill_in(&launch, &[("late_start", "30")]).await.status, 303);
}

/// A copy that goes to people whom the original has messaged is agreed to with their number.
#[actix_web::test]
async fn people_whom_the_original_has_messaged_are_agreed_to() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (campaign, ..) = desk.campaign("Spring", 5, "09:00-10:00", 1.0).await;
    desk.run_until("2026-03-02 09:02:30").await;
    assert_eq!(desk.received().len(), 3);
    let copy = desk.submit(&format!("/campaigns/{campaign}/duplicate")).await.location.unwrap();
    let copy = copy.strip_suffix("/edit").unwrap().to_owned();
    desk.sql("UPDATE schedules SET run_date = '2026-03-03' WHERE run_date IS NULL");
    let page = desk.visit(&format!("{copy}/edit")).await;
    page.shows("Yes, 3 again: an earlier campaign has messaged them already.");
    let launch = format!("{copy}/launch");
    desk.submit(&launch).await.shows("It is 3 who were messaged before.");
    // Meanwhile a fourth has got it.
    desk.run_until("2026-03-02 09:03:30").await;
    desk.fill_in(&launch, &[("messaged", "3")]).await.shows("It was 3 when you agreed, and has become 4");
    assert_eq!(desk.fill_in(&launch, &[("messaged", "4")]).await.status, 303);
}
