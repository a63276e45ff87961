//! What went and what will go, by month and by day.

use bugle::campaigns::store::Lists;
use bugle::campaigns::{CampaignKind, Freeze};
use bugle::drafting;
use bugle::ids::{CampaignId, ListId};
use bugle::pacing::{Days, Missed, Overlap, Rate, Rule};
use bugle::schedules::{Draft, Recurrence, When};
use chrono::NaiveTime;

use super::desk::{Desk, phones};

fn time(text: &str) -> NaiveTime {
    NaiveTime::parse_from_str(text, "%H:%M").unwrap()
}

/// A launched campaign that goes to a list of `n` contacts every weekday at nine.
fn weekdays(desk: &Desk, name: &str, n: usize, last: Option<&str>) -> CampaignId {
    let now = desk.app.clock.now();
    desk.file(&phones(n));
    desk.sql(&format!("INSERT INTO lists (name, kind, created_at) VALUES ('{name}', 'sms', now())"));
    desk.sql(
        "INSERT INTO list_members (list_id, contact_id, added_at) SELECT (SELECT max(id) FROM lists), id, now() FROM contacts",
    );
    let list = ListId(desk.number("SELECT max(id) AS n FROM lists"));
    let rule = Rule::Weekly { days: Days::WEEKDAYS, at: time("09:00") };
    let when = When::Recurring(Recurrence {
        rule,
        last_date: last.map(|date| date.parse().unwrap()),
        missed: Missed::Skip,
        overlap: Overlap::Skip,
    });
    let plan = Draft::once("Main", desk.channel, "Hello", now.date_naive(), time("09:00"), time("12:00"), 60.0);
    desk.db(|conn| {
        let zone = chrono_tz::UTC;
        let id = drafting::actions::create(conn, name, CampaignKind::Recurring, zone, desk.admin, now).unwrap();
        let lists = Lists { include: vec![list], exclude: Vec::new() };
        drafting::actions::set_lists(conn, id, &lists, Freeze::Start, desk.admin, now).unwrap();
        drafting::actions::add_schedule(conn, id, &Draft { when, rate: Rate::Fixed(60.0), ..plan }, desk.admin, now)
            .unwrap();
        drafting::actions::launch(conn, id, desk.admin, now).unwrap();
        id
    })
}

/// The part of a month that is one day.
fn day<'a>(html: &'a str, date: &str) -> &'a str {
    let from = html.find(&format!("href=\"/calendar/{date}")).unwrap_or_else(|| panic!("no {date} in:\n{html}"));
    &html[from..from + html[from..].find("<li class=\"day\"").unwrap_or(html.len() - from)]
}

#[actix_web::test]
async fn a_month_shows_what_went_and_what_will_go() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    weekdays(&desk, "Reminder", 2, Some("2026-03-12"));
    desk.campaign("Spring offer", 2, "09:00-10:00", 60.0).await;
    desk.tick().await;
    desk.at("2026-03-02 08:59:59");
    desk.run_until("2026-03-02 09:00:10").await;

    let month = desk.visit("/calendar").await;
    month.shows("<h2>March 2026</h2>");
    month.shows("Times and days in UTC.");
    let today = day(&month.html, "2026-03-02");
    assert!(today.contains("Reminder") && today.contains("Spring offer"), "{today}");
    assert!(today.contains("4 / 4 sent") && today.contains("completed"), "{today}");
    let tomorrow = day(&month.html, "2026-03-03");
    assert!(tomorrow.contains("Reminder") && tomorrow.contains("planned"), "{tomorrow}");
    assert!(!day(&month.html, "2026-03-07").contains("Reminder"), "a Saturday");
    assert!(day(&month.html, "2026-03-12").contains("Reminder"), "its last date");
    assert!(!day(&month.html, "2026-03-13").contains("Reminder"), "the day after");

    desk.visit("/calendar?month=2026-04").await.shows("Nothing in April 2026.");
    desk.visit("/calendar?month=nonsense").await.shows("<h2>March 2026</h2>");
}

#[actix_web::test]
async fn what_was_stopped_or_ran_out_of_time_says_so_and_a_paused_plan_too() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let (_, stopped, _) = desk.campaign("To stop", 5, "09:00-10:00", 1.0).await;
    desk.campaign("Too slow", 50, "08:00-08:01", 1.0).await;
    let daily = weekdays(&desk, "Reminder", 2, None);
    desk.run_until("2026-03-02 08:01:05").await;
    desk.submit(&format!("/schedules/{stopped}/stop")).await;
    desk.submit(&format!("/campaigns/{daily}/pause")).await;

    let month = desk.visit("/calendar").await;
    let today = day(&month.html, "2026-03-02");
    for (name, word) in [("To stop", "stopped"), ("Too slow", "overrun"), ("Reminder", "paused")] {
        let entry = today.split("<li").find(|entry| entry.contains(name)).unwrap();
        assert!(entry.contains(&format!("data-state=\"{word}\"")), "{entry}");
        assert!(entry.contains(&format!("<span class=\"day-word\">{word}")), "{entry}");
    }
    desk.submit(&format!("/campaigns/{daily}/stop")).await;
    assert!(!day(&desk.visit("/calendar").await.html, "2026-03-03").contains("Reminder"), "it never runs again");
}

#[actix_web::test]
async fn a_full_day_names_a_few_and_counts_the_others() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    for n in 1..=6 {
        desk.campaign(&format!("Offer {n}"), 1, &format!("1{n}:00-1{n}:30"), 60.0).await;
    }
    let month = desk.visit("/calendar").await;
    let today = day(&month.html, "2026-03-02");
    assert!(today.contains("Offer 3") && !today.contains("Offer 4"), "{today}");
    assert!(today.contains("+ 3 more"), "{today}");
    let page = desk.visit("/calendar/2026-03-02").await;
    page.shows("Offer 6");
}

#[actix_web::test]
async fn a_day_shows_each_run_with_its_time_audience_and_ledger() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    weekdays(&desk, "Reminder", 90, None);
    let (campaign, _, run) = desk.campaign("Spring offer", 2, "23:30-00:30", 60.0).await;

    let today = desk.visit("/calendar/2026-03-02").await;
    today.shows("Monday 2 March 2026");
    today.shows(&format!("/campaigns?open={campaign}#campaign-{campaign}"));
    today.shows(&format!("href=\"/runs/{run}\""));
    today.shows("0 of 2 sent");
    today.shows("3 Mar 00:30");
    today.shows("about 90");
    today.shows("92 messages by the hour, 90 in the busiest.");
    today.shows("<th scope=\"row\">09:00</th><td class=\"num\">90</td>");

    let tomorrow = desk.visit("/calendar/2026-03-03").await;
    tomorrow.shows("Spring offer");
    tomorrow.shows("2 Mar 23:30");
    desk.visit("/calendar/2026-03-07").await.lacks("Reminder");
    desk.visit("/calendar/2026-03-08").await.shows("Nothing on this day.");
    assert_eq!(desk.visit("/calendar/2026-02-30").await.status, 404);
}

#[actix_web::test]
async fn quiet_hours_and_blackout_dates_are_marked() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    desk.sql("UPDATE settings SET quiet_from = '10:00', quiet_to = '11:00'");
    desk.sql("INSERT INTO blackouts (day, name, added_at) VALUES ('2026-03-17', 'Saint Patrick', now())");
    weekdays(&desk, "Reminder", 90, None);
    let month = desk.visit("/calendar").await;
    month.shows("Quiet hours 10:00–11:00");
    assert!(day(&month.html, "2026-03-17").contains("Saint Patrick"));
    let day = desk.visit("/calendar/2026-03-17").await;
    day.shows("Blackout date: Saint Patrick.");
    day.lacks("messages by the hour");
    let day = desk.visit("/calendar/2026-03-18").await;
    day.shows("<rect class=\"day-held\" x=\"600\" y=\"4\" width=\"60\"");
    day.shows("90 messages by the hour");
}

#[actix_web::test]
async fn the_filters_find_campaigns_and_channels() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    weekdays(&desk, "Reminder", 2, None);
    desk.campaign("Spring offer", 2, "09:00-10:00", 60.0).await;
    for path in ["/calendar", "/calendar/2026-03-02"] {
        let found = desk.visit(&format!("{path}?q=SPRING")).await;
        found.shows("Spring offer");
        found.lacks("Reminder");
        let all = desk.visit(&format!("{path}?channel={}", desk.channel)).await;
        all.shows("Reminder");
        let none = desk.visit(&format!("{path}?channel=999")).await;
        none.lacks("Reminder");
        none.shows("Nothing found");
        none.shows("Show everything");
    }
    desk.visit("/calendar?q=spring").await.shows("/calendar/2026-03-02?q=spring");
}

#[actix_web::test]
async fn many_runs_of_a_day_come_in_pages() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    weekdays(&desk, "Reminder", 1, None);
    desk.sql(
        "INSERT INTO schedules (campaign_id, name, channel_id, body, start_time, end_time, rate, late_policy, recurrence, next_run_at)
         SELECT campaign_id, 'Extra ' || n, channel_id, body, start_time, end_time, rate, late_policy, recurrence, next_run_at
         FROM schedules, generate_series(1, 104) n",
    );
    let first = desk.visit("/calendar/2026-03-03").await;
    first.shows("Page 1 of 2, 105 runs");
    assert_eq!(first.html.matches("<th scope=\"row\"><a").count(), 100);
    let second = desk.visit("/calendar/2026-03-03?page=2").await;
    assert_eq!(second.html.matches("<th scope=\"row\"><a").count(), 5);
    desk.visit("/calendar/2026-03-03?page=9").await.shows("Page 2 of 2");
}

#[actix_web::test]
async fn a_daily_campaign_expects_a_file_on_its_days_until_it_has_come() {
    let desk = Desk::open_at("2026-11-24 08:30").await;
    let (campaign, _) = desk.daily("Arrears", "", &[("Main", "09:00-09:10", 10.0, None)]).await;
    let month = desk.visit("/calendar").await;
    for (date, expected) in [("2026-11-23", false), ("2026-11-24", true), ("2026-11-27", true), ("2026-11-28", false)] {
        let told = day(&month.html, date).contains("file expected");
        assert_eq!(told, expected, "{date}");
    }
    desk.visit("/calendar/2026-11-25").await.shows("file expected");

    desk.drops(campaign, "people.csv", "phone,name,balance\n+12025550101,Anna,1\n").await;
    desk.tick().await;
    let month = desk.visit("/calendar").await;
    let today = day(&month.html, "2026-11-24");
    assert!(today.contains("waiting") && !today.contains("file expected"), "{today}");
    assert!(day(&month.html, "2026-11-25").contains("file expected"));
}

#[actix_web::test]
async fn what_runs_every_few_minutes_is_one_entry_that_opens() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let often = weekdays(&desk, "Ticker", 3, None);
    weekdays(&desk, "Reminder", 2, None);
    let rule = serde_json::to_string(&Rule::Cron("*/5 * * * *".parse().unwrap())).unwrap();
    desk.sql(&format!(
        "UPDATE schedules SET recurrence = jsonb_set(recurrence, '{{rule}}', '{rule}'), next_run_at = '2026-03-02 08:05Z', end_time = '00:00'
         WHERE campaign_id = {often}"
    ));
    let schedule = desk.number(&format!("SELECT id AS n FROM schedules WHERE campaign_id = {often}"));

    let month = desk.visit("/calendar").await;
    let tuesday = day(&month.html, "2026-03-03");
    assert!(tuesday.contains("every 5 minutes, 288 runs") && !tuesday.contains("more<"), "{tuesday}");
    assert!(tuesday.contains("Reminder") && tuesday.contains(">289<"), "{tuesday}");
    assert!(tuesday.contains(&format!("href=\"/calendar/2026-03-03?open={schedule}\"")), "{tuesday}");

    let rows = |html: &str| html.matches("<th scope=\"row\"><a").count();
    let page = desk.visit("/calendar/2026-03-03").await;
    assert_eq!(rows(&page.html), 2);
    page.shows("every 5 minutes, 288 runs");
    page.shows("288 planned");
    page.shows("about 864");
    let open = desk.visit(&format!("/calendar/2026-03-03?open={schedule}")).await;
    assert_eq!(rows(&open.html), 100);
    open.shows("Page 1 of 3, 289 runs");
    open.shows("aria-expanded=\"true\"");
    open.shows(&format!("/calendar/2026-03-03?page=2&open={schedule}"));
}
