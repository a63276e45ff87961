//! Whatever people and machines do to a run, in any order: it keeps its rate, its
//! window, its quiet hours, and sends to everybody once.

use std::collections::HashSet;

use bugle::control::Edit;
use bugle::control::actions::{edit, pause, resume};
use bugle::deliveries::actions::{Leave, claim};
use bugle::deliveries::claim::Claimer;
use bugle::pacing::Rate;
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::desk::{Desk, instant};

const PEOPLE: usize = 150;

/// A run at one desk, and what the story knows about it.
struct Tale {
    desk: Desk,
    run: bugle::ids::RunId,
    schedule: bugle::ids::ScheduleId,
    rate: f64,
    is_paused: bool,
    quiet: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Claimed by a process that died before it sent anything.
    lost: usize,
    told: Vec<String>,
}

impl Tale {
    fn now(&self) -> DateTime<Utc> {
        self.desk.app.clock.now()
    }

    fn is_quiet(&self) -> bool {
        self.quiet.is_some_and(|(from, to)| (from..to).contains(&self.now()))
    }

    /// One turn of everything, and what must be true after it.
    async fn tick(&mut self) {
        let before = self.desk.received().len();
        self.desk.tick().await;
        let received = self.desk.received();
        if received.len() == before {
            return;
        }
        let now = self.now();
        assert!(!self.is_paused, "sent while paused: {:#?}", self.told);
        assert!(!self.is_quiet(), "sent in quiet hours at {now}: {:#?}", self.told);
        assert!(instant("2026-03-02 09:00") <= now, "sent before the start");
        let ends: i64 = self.desk.number("SELECT extract(epoch FROM ends_at)::bigint AS n FROM schedule_runs");
        assert!(now.timestamp() < ends, "sent after the end: {:#?}", self.told);
        let recent = received.iter().filter(|it| now - TimeDelta::seconds(60) < it.at).count();
        assert!(recent <= self.rate.ceil() as usize, "{recent} in a minute at {}: {:#?}", self.rate, self.told);
    }

    fn set_quiet(&mut self, quiet: Option<(DateTime<Utc>, DateTime<Utc>)>) {
        self.quiet = quiet;
        let times = match quiet {
            Some((from, to)) => format!("quiet_from = '{}', quiet_to = '{}'", from.time(), to.time()),
            None => "quiet_from = NULL, quiet_to = NULL".to_owned(),
        };
        self.desk.sql(&format!("UPDATE settings SET {times}"));
    }

    /// A process claims something and dies.
    fn crash(&mut self) {
        let by = Claimer { process: uuid::Uuid::new_v4(), now: self.now() };
        let leave = Leave { most: 3, part: None, n_fields: self.desk.n_fields(self.run) };
        let claimed = self.desk.db(|conn| claim(conn, self.run, &leave, by).unwrap());
        self.lost += claimed.claims.iter().map(|claim| claim.contacts.len()).sum::<usize>();
    }

    async fn something_happens(&mut self, chance: &mut StdRng) {
        let now = self.now();
        let by = self.desk.admin;
        match chance.random_range(0..100) {
            0..5 => {
                let rate = [5.0, 12.5, 30.0, 90.0][chance.random_range(0..4)];
                let new = Edit { rate: Some(Rate::Fixed(rate)), end: None };
                if self.desk.db(|conn| edit(conn, self.schedule, new, by, now)).is_ok() {
                    self.rate = rate;
                }
            }
            5..8 => {
                let end = (now + TimeDelta::minutes(chance.random_range(3..90))).with_second(0).unwrap().time();
                let _ =
                    self.desk.db(|conn| edit(conn, self.schedule, Edit { end: Some(end.into()), rate: None }, by, now));
            }
            8..12 if self.is_paused => {
                if self.desk.db(|conn| resume(conn, self.schedule, by, now)).is_ok() {
                    self.is_paused = false;
                }
            }
            8..12 => self.is_paused = self.desk.db(|conn| pause(conn, self.schedule, by, now)).is_ok(),
            12..15 => {
                let from = (now + TimeDelta::minutes(chance.random_range(0..2))).with_second(0).unwrap();
                let to = from + TimeDelta::minutes(chance.random_range(1..6));
                self.set_quiet(Some((from.with_nanosecond(0).unwrap(), to.with_nanosecond(0).unwrap())));
            }
            15..17 => self.set_quiet(None),
            17..20 => self.crash(),
            20..23 => self.desk.later(chance.random_range(20..400)),
            _ => self.desk.later(chance.random_range(1..4)),
        }
        self.told.push(format!("{now} {} paused {} quiet {:?}", self.rate, self.is_paused, self.quiet));
        self.tick().await;
    }

    /// Nothing stands in its way any more.
    async fn is_left_alone(&mut self) {
        self.set_quiet(None);
        let (by, end) = (self.desk.admin, "23:30:00".parse::<chrono::NaiveTime>().unwrap());
        let now = self.now();
        let state = self.desk.state("schedule_runs", self.run.0);
        self.desk.db(|conn| match state.as_str() {
            "paused" | "overrun" => drop(bugle::control::actions::extend(conn, self.schedule, end, by, now).unwrap()),
            "running" => drop(edit(conn, self.schedule, Edit { end: Some(end.into()), rate: None }, by, now).unwrap()),
            _ => {}
        });
        self.is_paused = false;
        for _ in 0..400 {
            if self.desk.state("schedule_runs", self.run.0) == "completed" {
                break;
            }
            self.desk.later(5);
            self.tick().await;
        }
    }
}

#[actix_web::test]
async fn whatever_happens_a_run_keeps_its_promises() {
    for seed in 0..5 {
        let chance = &mut StdRng::seed_from_u64(seed);
        let desk = Desk::open_at("2026-03-02 09:00").await;
        let (_, schedule, run) = desk.campaign("Spring offer", PEOPLE, "09:00-10:00", 30.0).await;
        let mut tale =
            Tale { desk, run, schedule, rate: 30.0, is_paused: false, quiet: None, lost: 0, told: Vec::new() };
        for _ in 0..150 {
            tale.something_happens(chance).await;
        }
        tale.is_left_alone().await;

        let counts = tale.desk.counts(run);
        let received = tale.desk.received();
        let distinct: HashSet<&str> = received.iter().map(|it| it.phone.as_str()).collect();
        assert_eq!(distinct.len(), received.len(), "seed {seed}: somebody got it twice");
        assert_eq!(received.len() + tale.lost, PEOPLE, "seed {seed}: somebody was forgotten: {counts:?}");
        assert_eq!((counts.delivered, counts.unconfirmed), (received.len() as i64, tale.lost as i64), "seed {seed}");
    }
}
