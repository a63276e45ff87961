//! What comes round: the planner, told by hand-set clocks over days.

use bugle::campaigns::store::Lists;
use bugle::campaigns::{CampaignKind, Freeze};
use bugle::control::actions::{pause, resume, stop};
use bugle::drafting;
use bugle::engine::{rescuer, starter};
use bugle::ids::{CampaignId, ListId, ScheduleId};
use bugle::pacing::{CronText, Days, LateLimit, LatePolicy, Missed, Overlap, Rate, Rule, TooLate};
use bugle::schedules::Rules;
use bugle::schedules::{Draft, Recurrence, When};
use chrono::{TimeDelta, Weekday};
use chrono_tz::Tz;

use crate::desk::{Desk, instant, phones};

const ZONE: Tz = Tz::Europe__Dublin;

fn rule(days: Days, at: &str) -> Rule {
    Rule::Weekly { days, at: format!("{at}:00").parse().unwrap() }
}

pub fn every_day() -> Recurrence {
    let missed = Missed::Late { within: TimeDelta::hours(2) };
    Recurrence { rule: rule(Days::ALL, "09:00"), last_date: None, missed, overlap: Overlap::Skip }
}

/// A list of these phones.
fn list(desk: &Desk, addresses: &[String]) -> ListId {
    desk.file(addresses);
    let id =
        desk.number("INSERT INTO lists (name, kind, created_at) VALUES ('People', 'sms', now()) RETURNING id AS n");
    join(desk, ListId(id), addresses);
    ListId(id)
}

fn join(desk: &Desk, list: ListId, addresses: &[String]) {
    desk.file(addresses);
    for address in addresses {
        desk.sql(&format!(
            "INSERT INTO list_members SELECT {list}, id, now() FROM contacts WHERE address = '{address}'"
        ));
    }
}

/// A launched recurring campaign on a list of `n` people, in Dublin, that ends at `end`.
pub fn recurring(desk: &Desk, n: usize, it: Recurrence, end: &str, rate: f64) -> (CampaignId, ScheduleId, ListId) {
    let list = list(desk, &phones(n));
    let (campaign, schedule) = on_list(desk, list, it, end, Freeze::Start, |plan| plan.rate = Rate::Fixed(rate));
    (campaign, schedule, list)
}

fn on_list(
    desk: &Desk,
    list: ListId,
    it: Recurrence,
    end: &str,
    freeze: Freeze,
    change: impl FnOnce(&mut Draft),
) -> (CampaignId, ScheduleId) {
    let now = desk.app.clock.now();
    let mut plan = Draft {
        name: "Main".into(),
        channel_id: desk.channel,
        body: "Hello".into(),
        bot: None,
        template: None,
        when: When::Recurring(it.clone()),
        start: "09:00:00".parse().unwrap(),
        end: format!("{end}:00").parse().unwrap(),
        rate: Rate::Fixed(600.0),
        late: LatePolicy::CatchUp,
        group: None,
        rules: Rules::default(),
    };
    change(&mut plan);
    desk.db(|conn| {
        let kind = match plan.when {
            When::Once { .. } | When::Undecided => CampaignKind::OnceOff,
            When::Recurring(_) | When::Daily | When::Inbound => CampaignKind::Recurring,
        };
        let id = drafting::actions::create(conn, "Round", kind, ZONE, desk.admin, now).unwrap();
        drafting::actions::set_lists(
            conn,
            id,
            &Lists { include: vec![list], exclude: vec![] },
            freeze,
            desk.admin,
            now,
        )
        .unwrap();
        let schedule = drafting::actions::add_schedule(conn, id, &plan, desk.admin, now).unwrap();
        drafting::actions::launch(conn, id, desk.admin, now).unwrap();
        (id, schedule)
    })
}

/// Everything that moves by itself, once in a while until `time` and a few times at each of `moments`.
async fn through(desk: &Desk, moments: &[&str]) {
    for moment in moments {
        while desk.app.clock.now() + TimeDelta::minutes(50) < instant(moment) {
            desk.app.clock.set(desk.app.clock.now() + TimeDelta::minutes(47));
            desk.tick().await;
        }
        desk.app.clock.set(instant(moment) - TimeDelta::seconds(2));
        for _ in 0..8 {
            desk.later(1);
            desk.tick().await;
        }
    }
}

/// The first message of each run.
fn firsts(desk: &Desk) -> Vec<String> {
    let mut firsts = std::collections::BTreeMap::new();
    for it in desk.received() {
        let run: i64 = it.part.split_once('-').unwrap().0.parse().unwrap();
        firsts.entry(run).or_insert(it.at);
    }
    firsts.into_values().map(|at| at.format("%m-%d %H:%M:%S").to_string()).collect()
}

/// The states of the runs, oldest first.
fn runs(desk: &Desk) -> Vec<String> {
    let n = desk.number("SELECT count(*) AS n FROM schedule_runs");
    let ids = (0..n).map(|n| desk.number(&format!("SELECT id AS n FROM schedule_runs ORDER BY id OFFSET {n} LIMIT 1")));
    ids.map(|id| desk.state("schedule_runs", id)).collect()
}

fn journal(desk: &Desk, happened: &str) -> i64 {
    desk.number(&format!("SELECT count(*) AS n FROM journal WHERE happened = '{happened}'"))
}

#[actix_web::test]
async fn a_weekly_campaign_runs_at_its_local_times_over_a_week_in_which_the_clocks_change() {
    // Dublin's clocks go forward on Sunday the 29th of March.
    let desk = Desk::open_at("2026-03-26 12:00").await;
    let days = Days::of([Weekday::Fri, Weekday::Sun, Weekday::Tue]).unwrap();
    let it = Recurrence { rule: rule(days, "09:00"), ..every_day() };
    let (campaign, schedule, _) = recurring(&desk, 10, it, "10:00", 600.0);
    through(&desk, &["2026-03-27 09:00", "2026-03-29 08:00", "2026-03-31 08:00", "2026-04-02 12:00"]).await;

    assert_eq!(firsts(&desk), ["03-27 09:00:00", "03-29 08:00:00", "03-31 08:00:00"]);
    assert_eq!((desk.received().len(), runs(&desk)), (30, vec!["completed".to_owned(); 3]));
    assert_eq!(
        (desk.state("schedules", schedule.0).as_str(), desk.campaign_state(campaign).as_str()),
        ("active", "active")
    );
}

#[actix_web::test]
async fn a_cron_campaign_runs_at_its_instants() {
    let desk = Desk::open_at("2026-10-23 12:00").await;
    let cron: CronText = "30 9 * * MON-FRI".parse().unwrap();
    let it = Recurrence { rule: Rule::Cron(cron), ..every_day() };
    recurring(&desk, 5, it, "11:00", 600.0);
    // Clocks go back on Sunday the 25th of October.
    through(&desk, &["2026-10-26 09:30", "2026-10-27 09:30", "2026-10-28 01:00"]).await;
    assert_eq!(firsts(&desk), ["10-26 09:30:00", "10-27 09:30:00"]);
}

#[actix_web::test]
async fn an_audience_is_frozen_at_the_launch_or_found_at_each_start() {
    for (freeze, expected) in [(Freeze::Launch, [5, 5]), (Freeze::Start, [5, 8])] {
        let desk = Desk::open_at("2026-03-02 12:00").await;
        let list = list(&desk, &phones(5));
        on_list(&desk, list, every_day(), "10:00", freeze, |_| ());
        through(&desk, &["2026-03-03 09:00"]).await;
        join(&desk, list, &phones(8)[5..]);
        through(&desk, &["2026-03-04 09:00"]).await;
        let of_day =
            |n: usize| desk.received().iter().filter(|it| it.at.format("%d").to_string() == format!("{n:02}")).count();
        assert_eq!([of_day(3), of_day(4)], expected, "{freeze:?}");
    }
}

#[actix_web::test]
async fn a_campaign_that_runs_once_finds_its_audience_at_its_start_or_at_the_launch() {
    for (freeze, expected) in [(Freeze::Launch, 5), (Freeze::Start, 8)] {
        let desk = Desk::open_at("2026-03-02 12:00").await;
        let list = list(&desk, &phones(5));
        let date = "2026-03-04".parse().unwrap();
        on_list(&desk, list, every_day(), "10:00", freeze, |plan| plan.when = When::Once { date });
        through(&desk, &["2026-03-03 09:00"]).await;
        join(&desk, list, &phones(8)[5..]);
        through(&desk, &["2026-03-04 09:00"]).await;
        assert_eq!(desk.received().len(), expected, "{freeze:?}");
    }
}

#[actix_web::test]
async fn two_processes_plan_each_date_once() {
    let desk = Desk::open_at("2026-03-02 12:00").await;
    recurring(&desk, 5, every_day(), "10:00", 600.0);
    for day in ["03", "04", "05"] {
        desk.at(&format!("2026-03-{day} 09:00"));
        let (a, b) = tokio::join!(starter::tick(&desk.app), starter::tick(&desk.app));
        a.unwrap();
        b.unwrap();
        desk.later(2);
        desk.tick().await;
        desk.tick().await;
    }
    assert_eq!((runs(&desk).len(), desk.received().len()), (3, 15));
}

#[actix_web::test]
async fn a_date_that_went_by_while_nothing_worked_is_left_out_run_late_or_asked_about() {
    let late = Missed::Late { within: TimeDelta::hours(2) };
    // Back at 09:30, and at 09:00 again on the day after.
    for (missed, sent) in [(Missed::Skip, 5), (late, 10), (Missed::Late { within: TimeDelta::minutes(10) }, 5)] {
        let desk = Desk::open_at("2026-03-02 12:00").await;
        recurring(&desk, 5, Recurrence { missed, ..every_day() }, "18:00", 600.0);
        desk.at("2026-03-03 09:30");
        desk.tick().await;
        desk.later(1);
        desk.tick().await;
        through(&desk, &["2026-03-04 09:00"]).await;
        assert_eq!(desk.received().len(), sent, "{missed:?}");
        assert_eq!(journal(&desk, "schedule.skipped"), i64::from(sent == 5), "{missed:?}");
    }

    let desk = Desk::open_at("2026-03-02 12:00").await;
    let (_, schedule, _) = recurring(&desk, 5, Recurrence { missed: Missed::Ask, ..every_day() }, "18:00", 600.0);
    desk.at("2026-03-03 09:30");
    desk.tick().await;
    desk.later(5);
    desk.tick().await;
    assert_eq!((desk.received().len(), desk.state("schedules", schedule.0).as_str()), (0, "paused"));
    desk.db(|conn| resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
    desk.later(1);
    desk.tick().await;
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.received().len(), 5);
    through(&desk, &["2026-03-04 09:00"]).await;
    assert_eq!(desk.received().len(), 10);
}

#[actix_web::test]
async fn many_dates_that_went_by_come_to_the_next_one_in_a_few_ticks() {
    let desk = Desk::open_at("2026-03-02 12:00").await;
    let (_, schedule, _) = recurring(&desk, 5, Recurrence { missed: Missed::Skip, ..every_day() }, "10:00", 600.0);
    desk.at("2026-07-01 12:00");
    for _ in 0..4 {
        desk.tick().await;
    }
    assert_eq!((desk.received().len(), journal(&desk, "schedule.skipped")), (0, 121));
    let next = desk.db(|conn| bugle::schedules::store::find(conn, schedule).unwrap().next_run_at);
    assert_eq!(next, Some(instant("2026-07-02 08:00")));
}

#[actix_web::test]
async fn a_date_that_comes_while_the_run_before_goes_on_is_left_out_waits_or_takes_its_place() {
    for (overlap, missed) in [
        (Overlap::Skip, Missed::Ask),
        (Overlap::Wait, Missed::Skip),
        (Overlap::Wait, Missed::Ask),
        (Overlap::Replace, Missed::Skip),
    ] {
        let desk = Desk::open_at("2026-03-02 12:00").await;
        // One in ten minutes: the run of nine sends its last one ten minutes after eleven.
        let rule = Rule::Cron("0 9,11 * * *".parse().unwrap());
        let (_, schedule, _) =
            recurring(&desk, 14, Recurrence { rule, overlap, missed, last_date: None }, "12:00", 0.1);
        through(&desk, &["2026-03-03 09:00"]).await;
        while desk.app.clock.now() < instant("2026-03-03 11:05") {
            desk.later(60);
            desk.tick().await;
        }
        let states = runs(&desk);
        match overlap {
            Overlap::Skip | Overlap::Wait => assert_eq!(states, ["running"], "{overlap:?}"),
            Overlap::Replace => assert_eq!(states, ["stopped", "running"]),
        }
        while desk.app.clock.now() < instant("2026-03-03 11:15") {
            desk.later(60);
            desk.tick().await;
        }
        let states = runs(&desk);
        match overlap {
            Overlap::Skip => assert_eq!(states, ["completed"]),
            Overlap::Wait => assert_eq!(states, ["completed", "running"], "{missed:?}"),
            Overlap::Replace => assert_eq!(states, ["stopped", "running"]),
        }
        assert_eq!(journal(&desk, "schedule.skipped"), i64::from(overlap == Overlap::Skip), "{overlap:?}");
        assert_eq!(desk.state("schedules", schedule.0), "active");
    }
}

#[actix_web::test]
async fn after_its_last_date_the_schedule_and_its_campaign_are_finished() {
    let desk = Desk::open_at("2026-03-02 12:00").await;
    let it = Recurrence { last_date: Some("2026-03-04".parse().unwrap()), ..every_day() };
    let (campaign, schedule, _) = recurring(&desk, 5, it, "10:00", 600.0);
    through(&desk, &["2026-03-03 09:00"]).await;
    assert_eq!(desk.campaign_state(campaign), "active");
    through(&desk, &["2026-03-04 09:00", "2026-03-05 09:00"]).await;
    assert_eq!(desk.received().len(), 10);
    assert_eq!(
        (desk.state("schedules", schedule.0).as_str(), desk.campaign_state(campaign).as_str()),
        ("finished", "finished")
    );
}

#[actix_web::test]
async fn a_date_that_goes_by_in_a_pause_is_judged_at_the_resume_and_after_a_stop_there_is_none() {
    let desk = Desk::open_at("2026-03-02 12:00").await;
    let (_, schedule, _) = recurring(&desk, 5, every_day(), "18:00", 600.0);
    desk.db(|conn| pause(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
    through(&desk, &["2026-03-03 09:00", "2026-03-03 10:30"]).await;
    assert!(desk.received().is_empty());
    desk.db(|conn| resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
    for _ in 0..3 {
        desk.later(1);
        desk.tick().await;
    }
    assert_eq!(desk.received().len(), 5, "an hour and a half late, of two");

    desk.db(|conn| pause(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
    through(&desk, &["2026-03-04 09:00", "2026-03-04 12:00"]).await;
    desk.db(|conn| resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
    through(&desk, &["2026-03-05 09:00"]).await;
    assert_eq!((desk.received().len(), journal(&desk, "schedule.skipped")), (10, 1), "three hours late is too late");

    let now = desk.app.clock.now();
    desk.db(|conn| stop(conn, schedule, desk.admin, now).unwrap());
    through(&desk, &["2026-03-06 09:00", "2026-03-07 09:00"]).await;
    assert_eq!((desk.received().len(), runs(&desk).len()), (10, 2));
}

#[actix_web::test]
async fn a_run_that_starts_later_than_it_may_is_over_or_asks_whatever_made_it() {
    for (then, state) in [(TooLate::Overrun, "overrun"), (TooLate::Ask, "paused")] {
        let desk = Desk::open_at("2026-03-02 12:00").await;
        let limit = LateLimit { within: TimeDelta::minutes(10), then };
        let rules = Rules { late: Some(limit), ..Rules::default() };
        let recurring = list(&desk, &phones(5));
        let (_, comes_round) =
            on_list(&desk, recurring, every_day(), "18:00", Freeze::Start, |plan| plan.rules = rules.clone());
        let once = crate::claims::launch(&desk, "Once", Tz::UTC, &phones(5), "13:00-18:00", 600.0, |plan| {
            plan.rules = rules.clone()
        })
        .await;

        desk.at("2026-03-02 13:30");
        desk.tick().await;
        assert_eq!(desk.state("schedule_runs", once.run.0), state);
        assert_eq!(desk.state("schedules", once.schedule.0), if state == "paused" { "paused" } else { "finished" });
        desk.at("2026-03-03 09:30");
        desk.tick().await;
        desk.tick().await;
        assert_eq!(desk.state("schedule_runs", desk.run_of(comes_round).0), state);
        assert!(desk.received().is_empty());

        if then == TooLate::Ask {
            let now = desk.app.clock.now();
            desk.db(|conn| resume(conn, comes_round, desk.admin, now).unwrap());
            desk.tick().await;
            desk.later(1);
            desk.tick().await;
            assert_eq!(desk.received().len(), 5, "a person wanted it all the same");
        }
        through(&desk, &["2026-03-04 09:00"]).await;
        assert_eq!(desk.received().len(), if then == TooLate::Ask { 10 } else { 5 }, "the next one is on time");
        rescuer::tick(&desk.app).await.unwrap();
    }
}
