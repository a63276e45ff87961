//! What an installation decides once for all its campaigns.

use std::collections::BTreeSet;

use bugle::access::Role;
use bugle::db::schema::journal;
use bugle::settings::domain::{Blackout, House};
use bugle::settings::{ApprovalRule, Cap, actions, store};
use chrono::NaiveDate;
use diesel::prelude::*;

use crate::desk::{Answer, Desk};

const NOW: &str = "2026-12-01 09:00";

async fn add(desk: &Desk, name: &str, first: &str, last: &str) -> Answer {
    desk.fill_in("/settings/blackouts", &[("name", name), ("first_day", first), ("last_day", last)]).await
}

fn house(desk: &Desk) -> House {
    desk.db(|conn| store::house(conn).unwrap())
}

fn blackouts(desk: &Desk) -> Vec<String> {
    let list = desk.db(|conn| store::list(conn).unwrap());
    list.into_iter().map(|Blackout { day, name }| format!("{day} {name}")).collect()
}

/// What the journal has of settings and blackout dates: what happened to what, by whom, in which words.
fn written_down(desk: &Desk) -> Vec<(String, i64, Option<i64>, Option<String>)> {
    desk.db(|conn| {
        journal::table
            .filter(journal::happened.like("settings.%").or(journal::happened.like("blackout.%")))
            .order(journal::id)
            .select((journal::happened, journal::subject_id, journal::user_id, journal::why))
            .load(conn)
            .unwrap()
    })
}

#[actix_web::test]
async fn each_card_is_saved_by_itself_and_the_journal_says_what_changed() {
    let desk = Desk::open_at(NOW).await;
    assert_eq!(house(&desk), House::default(), "nothing is decided at first");

    let quiet = [("quiet_from", "21:00"), ("quiet_to", "08:00"), ("jitter_minutes", "10")];
    let answer = desk.fill_in("/settings/quiet", &quiet).await;
    desk.fill_in("/settings/quiet", &quiet).await;
    desk.fill_in("/settings/cap", &[("cap_messages", "3"), ("cap_days", "7")]).await;
    desk.fill_in("/settings/approval", &[("approval", "above"), ("approval_above", "1000")]).await;
    let page = desk.visit("/settings?saved=cap").await;

    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/settings?saved=quiet#quiet")));
    let saved = house(&desk);
    assert_eq!((saved.jitter_minutes, saved.cap), (10, Some(Cap { messages: 3, days: 7 })));
    assert_eq!(saved.approval, ApprovalRule::Above(1000));
    for words in [
        "Between 21:00 and 08:00 in the campaign&#39;s time zone nothing is sent",
        "at most 3 messages within 7 days",
        "Launches to more than 1000 contacts need",
        r#"name="quiet_from" type="time" value="21:00""#,
        "Last changed <time datetime=\"2026-12-01T09:00:00+00:00\">",
    ] {
        assert!(page.html.contains(words), "{words} in {}", page.html);
    }
    assert_eq!(page.html.matches("Saved. It holds from now on.").count(), 1);
    let admin = Some(desk.admin.0);
    let changed = |why: &str| ("settings.changed".to_owned(), 0, admin, Some(why.to_owned()));
    assert_eq!(
        written_down(&desk),
        [
            changed("quiet hours none → 21:00–08:00, jitter 0 → 10 minutes"),
            changed("frequency cap none → 3 in 7 days"),
            changed("second person never → above 1000 contacts"),
        ]
    );

    desk.fill_in("/settings/quiet", &[("quiet_from", ""), ("quiet_to", ""), ("jitter_minutes", "")]).await;
    desk.fill_in("/settings/cap", &[]).await;
    desk.fill_in("/settings/approval", &[("approval", "never")]).await;
    assert_eq!(house(&desk), House::default(), "empty fields take it back");
}

#[actix_web::test]
async fn wrong_input_comes_back_filled_in_with_what_to_do() {
    let desk = Desk::open_at(NOW).await;

    for (path, fields, kept, advice) in [
        (
            "quiet",
            [("quiet_from", "21:00"), ("quiet_to", "21:00")],
            r#"value="21:00""#,
            "Quiet hours must end at another time than they begin.",
        ),
        ("quiet", [("quiet_from", "21:30"), ("quiet_to", "")], r#"value="21:30""#, "A time, such as 08:00."),
        ("quiet", [("jitter_minutes", "61"), ("quiet_to", "")], r#"value="61""#, "A whole number from 0 to 60."),
        ("cap", [("cap_messages", "3"), ("cap_days", "91")], r#"value="91""#, "A whole number from 1 to 90."),
        ("cap", [("cap_messages", "-3"), ("cap_days", "7")], r#"value="-3""#, "A whole number above 0"),
        ("approval", [("approval", "above"), ("approval_above", "many")], r#"value="many""#, "A whole number above 0."),
        ("blackouts", [("name", "Christmas"), ("first_day", "25.12.")], r#"value="25.12.""#, "A date, such as"),
        ("blackouts", [("name", "Yesterday"), ("first_day", "2026-11-30")], r#"value="Yesterday""#, "has passed"),
    ] {
        let answer = desk.fill_in(&format!("/settings/{path}"), &fields).await;
        assert_eq!(answer.status, 422, "{fields:?}");
        assert!(answer.html.contains(kept), "{kept} is kept in {}", answer.html);
        assert!(answer.html.contains(advice), "{advice} in {}", answer.html);
        assert_eq!(answer.html.matches(r#" aria-invalid="true""#).count(), 1);
        assert_eq!(answer.html.matches(" autofocus").count(), 1, "the eye is led to the mistake");
    }

    assert_eq!(house(&desk), House::default());
    assert_eq!(blackouts(&desk), Vec::<String>::new());
    assert!(written_down(&desk).is_empty());
}

#[actix_web::test]
async fn blackout_dates_are_added_one_or_several_and_taken_away() {
    let desk = Desk::open_at(NOW).await;

    assert_eq!(add(&desk, "New Year's Day", "2027-01-01", "").await.status, 303);
    assert_eq!(add(&desk, "Christmas", "2026-12-25", "2026-12-26").await.status, 303);
    let page = desk.visit("/settings").await;
    let removed = desk.submit("/settings/blackouts/2026-12-26/remove").await;
    let removed_again = desk.submit("/settings/blackouts/2026-12-26/remove").await;

    assert!(page.html.contains("<caption>2026</caption>") && page.html.contains("<caption>2027</caption>"));
    assert!(page.html.contains("Fri 25 Dec") && page.html.contains("Remove Christmas, 26 December 2026"));
    assert_eq!((removed.status, removed_again.status), (303, 303));
    assert_eq!(blackouts(&desk), ["2026-12-25 Christmas", "2027-01-01 New Year's Day"]);
    let days: BTreeSet<NaiveDate> = ["2026-12-25", "2027-01-01"].map(|day| day.parse().unwrap()).into();
    assert_eq!(desk.db(|conn| store::blackouts(conn).unwrap()), days);
    let admin = Some(desk.admin.0);
    let entry = |verb: &str, day: i64, why: &str| (format!("blackout.{verb}"), day, admin, Some(why.to_owned()));
    assert_eq!(
        written_down(&desk),
        [
            entry("added", 20270101, "2027-01-01 New Year's Day"),
            entry("added", 20261225, "2026-12-25 Christmas"),
            entry("added", 20261226, "2026-12-26 Christmas"),
            entry("removed", 20261226, "2026-12-26 Christmas"),
        ]
    );
}

#[actix_web::test]
async fn of_days_among_which_one_is_there_already_none_is_added() {
    let desk = Desk::open_at(NOW).await;
    add(&desk, "Christmas Day", "2026-12-25", "").await;

    let again = add(&desk, "Holidays", "2026-12-24", "2026-12-31").await;

    assert_eq!(again.status, 422);
    assert!(again.html.contains("Friday 25 December 2026 is a blackout date already: Christmas Day."));
    assert!(again.html.contains(r#"value="Holidays""#) && again.html.contains(r#"value="2026-12-31""#));
    assert_eq!(blackouts(&desk), ["2026-12-25 Christmas Day"]);
    assert_eq!(written_down(&desk).len(), 1);
}

#[actix_web::test]
async fn last_years_dates_are_copied_once_and_past_ones_are_folded() {
    let desk = Desk::open_at("2027-01-04 09:00").await;
    let now = desk.app.clock.now();
    for (day, name) in [
        ("2026-01-01", "New Year"),
        ("2026-03-17", "St Patrick's Day"),
        ("2026-12-25", "Christmas"),
        ("2027-12-25", "Mine"),
    ] {
        desk.db(|conn| actions::add_blackouts(conn, &[day.parse().unwrap()], name, desk.admin, now).unwrap());
    }

    let before = desk.visit("/settings").await;
    let copied = desk.fill_in("/settings/blackouts/copy", &[("year", "2027")]).await;
    desk.fill_in("/settings/blackouts/copy", &[("year", "2027")]).await;
    let after = desk.visit("/settings").await;

    assert!(before.html.contains("Copy 1 date of 2026 to 2027") && before.html.contains("Copy 1 date of 2027 to 2028"));
    assert_eq!(copied.status, 303);
    assert_eq!(blackouts(&desk)[3..], ["2027-03-17 St Patrick's Day", "2027-12-25 Mine"], "New Year has passed");
    assert_eq!(written_down(&desk).len(), 5);
    assert!(!after.html.contains("of 2026 to 2027") && after.html.contains("Copy 2 dates of 2027 to 2028"));
    let (ahead, past) = after.html.split_once("Past dates").unwrap();
    assert!(past.contains("<caption>2026</caption>") && !ahead.contains("<caption>2026</caption>"));
    assert!(!past.contains("/remove"), "what has passed stays");
}

#[actix_web::test]
async fn a_viewer_reads_what_holds_and_only_an_admin_changes_it() {
    let desk = Desk::open_at(NOW).await;
    desk.fill_in("/settings/quiet", &[("quiet_from", "21:00"), ("quiet_to", "08:00")]).await;
    add(&desk, "Christmas Day", "2026-12-25", "").await;

    for role in [Role::Viewer, Role::Operator, Role::Manager] {
        desk.gives_the_admin_the_role(role);
        let page = desk.visit("/settings").await;
        assert_eq!(page.status, 200);
        assert!(page.html.contains("Between 21:00 and 08:00") && page.html.contains("Christmas Day"));
        assert!(!page.html.contains(r#"action="/settings"#), "nothing to press");
        assert!(!page.html.contains(r#"href="/settings/people""#));
        for path in ["quiet", "cap", "approval", "blackouts", "blackouts/copy", "blackouts/2026-12-25/remove"] {
            assert_eq!(desk.submit(&format!("/settings/{path}")).await.status, 403, "{role:?} {path}");
        }
    }

    desk.gives_the_admin_the_role(Role::Admin);
    assert!(desk.visit("/settings").await.html.contains(r#"href="/settings/people""#));
    assert_eq!(blackouts(&desk), ["2026-12-25 Christmas Day"]);
    assert_eq!(desk.visit_as_stranger("/settings").await.status, 303);
}
