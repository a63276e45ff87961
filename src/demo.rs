//! The demo: a few campaigns that tell a story, so that every page has something
//! to show on the first day.
//!
//! Nothing in it is made up. Files are imported, campaigns launched and messages
//! sent to the sandbox's phones by the same code as always, under a clock that is
//! turned through the last day. The pages can be used meanwhile and show how far it is; the
//! engine of the present begins when it is written, so that it never runs a campaign of its past.

use actix_web::web::Data;
use anyhow::Context;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc, Weekday};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use rand::distr::{Alphanumeric, SampleString};

use crate::app::{App, DemoProgress};
use crate::bots::domain::Pinned;
use crate::bots::examples::Example;
use crate::campaigns::store::Lists;
use crate::campaigns::{self, CampaignKind, Freeze};
use crate::channels::domain::{ChannelSetup, Own};
use crate::clock::Clock;
use crate::contacts::addresses::TwoWays;
use crate::control;
use crate::conversations::intake;
use crate::daily::{self, domain::DailyPlan};
use crate::db::Error;
use crate::db::locks::number;
use crate::engine::Engine;
use crate::engine::{importer, starter};
use crate::files::{self, domain::Mapping};
use crate::ids::{CampaignId, ChannelId, FileId, ScheduleId, UserId};
use crate::keyring::Keyring;
use crate::pacing::{Days, LatePolicy, Missed, Overlap, Rate, Rule};
use crate::providers::credentials::Credentials;
use crate::providers::{Event, Inbound, Kind, ProviderName};
use crate::sandbox::carrier;
use crate::schedules::{self, Draft, Recurrence, When};
use crate::{bots, channels, drafting, installation, lists, people, settings};

/// A password that nobody has used before.
pub fn fresh_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 16)
}

/// Writes the demo, once for ever. Returns whether it did; an installation that has
/// campaigns already is left alone.
pub async fn seed(app: &App) -> anyhow::Result<bool> {
    let _turn = turn(app).await?;
    let now = app.clock.now();
    let mine = app
        .db
        .run(move |conn| {
            channels::actions::ensure_channel(conn, now)?;
            Ok::<_, Error<channels::domain::Refused>>(
                campaigns::store::is_empty(conn)? && installation::take_seeding(conn, now)?,
            )
        })
        .await?;
    if mine {
        tracing::info!("writing the demo; the pages show how far it is");
        Story::begin(app, now).await?.tell().await?;
    }
    Ok(mine)
}

/// Before the engine begins: writes the demo where it is wanted, and waits while another process
/// writes it, which would otherwise see the campaigns of its past run by the clock of today. A
/// demo that cannot be written whole keeps nobody from working.
pub async fn open(app: &App, wanted: bool) {
    let written = if wanted { seed(app).await } else { turn(app).await.map(|_| false) };
    match &written {
        Ok(true) => tracing::info!("the demo is written"),
        Ok(false) => {}
        Err(error) => tracing::error!("the demo could not be written: {error:#}"),
    }
    app.pulse.demo_is_at(written.is_err().then_some(DemoProgress::Failed));
}

/// The turn to write the demo, until it is dropped. Whoever had it and hangs is waited for no
/// longer than a demo could take.
async fn turn(app: &App) -> anyhow::Result<PgConnection> {
    let (db, pulse) = (app.db.clone(), app.pulse.clone());
    let take = move || {
        let mut conn = db.open()?;
        conn.batch_execute(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '120s'",
        )?;
        if !diesel::select(pg_try_advisory_xact_lock(i64::from(number::DEMO))).get_result::<bool>(&mut conn)? {
            tracing::info!("another process writes the demo; nothing is sent until it is there");
            pulse.demo_is_at(Some(DemoProgress::Awaited));
            conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({})", number::DEMO))
                .context("another process has been writing the demo for two minutes")?;
        }
        Ok(conn)
    };
    tokio::task::spawn_blocking(take).await?
}

diesel::define_sql_function!(fn pg_try_advisory_xact_lock(key: BigInt) -> Bool);

/// What [`Story::tell`] tells of, one after another.
const PARTS: usize = 10;

struct Story {
    app: Data<App>,
    engine: Engine,
    by: UserId,
    channel: ChannelId,
    now: DateTime<Utc>,
}

/// A schedule of the story, in minutes before (or after) the present.
struct Plan<'a> {
    campaign: &'a str,
    schedule: &'a str,
    body: &'a str,
    contacts: usize,
    /// Minutes from the present; negative lies in the past.
    starts: i64,
    ends: i64,
    rate: f64,
}

impl Story {
    async fn begin(app: &App, now: DateTime<Utc>) -> anyhow::Result<Story> {
        let clock = Clock::stopped_at(now);
        let app = Data::new(App {
            db: app.db.clone(),
            vital: app.vital.clone(),
            books: app.books.clone(),
            providers: carrier::providers(&app.db, &app.books, &clock, &app.settings),
            marks: app.marks.clone(),
            settings: app.settings.clone(),
            said: app.said.clone(),
            turns: app.turns.clone(),
            pulse: app.pulse.clone(),
            clock,
        });
        let (by, channel) = app
            .db
            .run(|conn| {
                let by = people::store::list(conn)?.first().map(|user| user.id);
                let channel = crate::channels::setups::all(conn)?.first().map(|setup| ChannelId(setup.id));
                Ok::<_, diesel::result::Error>((by, channel))
            })
            .await?;
        Ok(Story {
            engine: Engine::new(app.clone()),
            app,
            by: by.context("the demo needs somebody to have done it: add a user first")?,
            channel: channel.context("there is no channel")?,
            now,
        })
    }

    async fn tell(&self) -> anyhow::Result<()> {
        self.part(0, "Tuesday recipes");
        self.newsletter().await?;
        self.holidays().await?;

        // Yesterday: through, with the failures that a real list brings.
        let spring = Plan {
            campaign: "Spring offer",
            schedule: "All customers",
            body: "Hi #name, 20% off in our #city shop until Sunday. Reply STOP to opt out.",
            contacts: 150,
            starts: -26 * 60,
            ends: -24 * 60,
            rate: 120.0,
        };
        self.part(1, "Spring offer");
        self.launch(&spring).await?;
        self.turn(spring.starts * 60, spring.starts * 60 + 120, 5).await?;

        // Earlier today: too many people for too short a time.
        let flash = Plan {
            campaign: "Flash sale",
            schedule: "Lunch hour",
            body: "#name, today only: free delivery before 2 pm.",
            contacts: 400,
            starts: -95,
            ends: -92,
            rate: 30.0,
        };
        self.part(2, "Flash sale");
        self.launch(&flash).await?;
        self.turn(flash.starts * 60, flash.ends * 60 + 5, 5).await?;

        // Paused a while ago, waiting for somebody to make up their mind.
        let survey = Plan {
            campaign: "Satisfaction survey",
            schedule: "First invitation",
            body: "Hi #name|there#, how was your last visit? Answer 1 (bad) to 5 (great).",
            contacts: 2_000,
            starts: -14,
            ends: 6 * 60,
            rate: 90.0,
        };
        self.part(3, "Satisfaction survey");
        let (_, first) = self.launch(&survey).await?;
        self.turn(survey.starts * 60, survey.starts * 60 + 150, 5).await?;
        let (by, at) = (self.by, self.app.clock.now());
        self.app.db.run(move |conn| control::actions::pause(conn, first, by, at)).await?;

        self.part(4, "conversations");
        self.conversations().await?;

        // Sending right now.
        let arrears = Plan {
            campaign: "Arrears reminder",
            schedule: "Today",
            body: "Dear #name, your balance of #balance euro was due on #due. Pay at pay.example/#customer or call us.",
            contacts: 5_000,
            starts: -3,
            ends: 3 * 60,
            rate: 60.0,
        };
        self.part(5, "Arrears reminder");
        self.launch(&arrears).await?;
        self.turn(arrears.starts * 60, -1, 3).await?;

        // Waiting for tomorrow morning.
        let tomorrow = self.minutes_until_tomorrow_at(9);
        let appointments = Plan {
            campaign: "Appointment reminder",
            schedule: "Morning",
            body: "Hello #name, we expect you tomorrow in #city. Cannot come? Call us.",
            contacts: 600,
            starts: tomorrow,
            ends: tomorrow + 120,
            rate: 30.0,
        };
        self.part(6, "Appointment reminder");
        self.launch(&appointments).await?;
        starter::tick(&self.app).await?;

        self.part(7, "Late opening");
        self.regions(tomorrow + 60).await?;
        self.part(8, "Payments due");
        self.every_day().await?;

        // Begun and not launched.
        self.part(9, "Newsletter");
        self.draft(&Plan {
            campaign: "Newsletter",
            schedule: "Readers",
            body: "Hi #name, our news of the month: news.example",
            contacts: 300,
            starts: tomorrow + 24 * 60,
            ends: tomorrow + 26 * 60,
            rate: 20.0,
        })
        .await?;
        self.engine.shut_down().await;
        Ok(())
    }

    /// Says that `next` is written now, after `done` others.
    fn part(&self, done: usize, next: &'static str) {
        self.app.pulse.demo_is_at(Some(DemoProgress::Written { done, of: PARTS, next }));
    }

    /// Every Tuesday to the people on a list, for more than a week now.
    async fn newsletter(&self) -> anyhow::Result<()> {
        let (by, zone, channel) = (self.by, self.app.settings.time_zone, self.channel);
        let ten = NaiveTime::from_hms_opt(10, 0, 0).unwrap_or_default();
        let days = Days::of([Weekday::Tue])?;
        let rule = Rule::Weekly { days, at: ten };
        let begun = self.now - TimeDelta::days(9);
        self.app.clock.set(begun);
        let file = self.import("readers.csv", 240).await?;
        let end = ten + TimeDelta::hours(2);
        let plan = Draft {
            when: When::Recurring(Recurrence {
                rule: rule.clone(),
                last_date: None,
                missed: Missed::Late { within: TimeDelta::hours(1) },
                overlap: Overlap::Skip,
            }),
            ..Draft::once(
                "Readers",
                channel,
                "Hi #name|there#, three new recipes for this week: news.example/tuesday",
                begun.date_naive(),
                ten,
                end,
                120.0,
            )
        };
        self.app
            .db
            .run(move |conn: &mut PgConnection| {
                let list = lists::actions::create_from_file(conn, "Newsletter readers", file, by, begun)?;
                let id = drafting::actions::create(conn, "Tuesday recipes", CampaignKind::Recurring, zone, by, begun)?;
                let lists = Lists { include: vec![list], exclude: Vec::new() };
                drafting::actions::set_lists(conn, id, &lists, Freeze::Start, by, begun)?;
                drafting::actions::add_schedule(conn, id, &plan, by, begun)?;
                drafting::actions::launch(conn, id, by, begun)?;
                Ok::<_, anyhow::Error>(())
            })
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        while let Some(due) = rule.next(self.app.clock.now(), zone, None).filter(|due| *due < self.now) {
            self.app.clock.set(due);
            let from = (due - self.now).num_seconds();
            self.turn(from, from + 125, 5).await?;
        }
        Ok(())
    }

    /// A bot that asked people how it was, and one that meets those who write first: some
    /// are through, some are waited for, and some wait for a human.
    async fn conversations(&self) -> anyhow::Result<()> {
        let asks = self.publish("survey").await?;
        let begins = -75;
        let visits = Plan {
            campaign: "Visit survey",
            schedule: "Everybody of last week",
            body: "Its bot takes the place of this.",
            contacts: 120,
            starts: begins,
            ends: begins + 180,
            rate: 120.0,
        };
        let (campaign, schedule) = self.draft(&visits).await?;
        let (by, at) = (self.by, self.app.clock.now());
        self.app
            .db
            .run(move |conn| {
                let plan = schedules::store::find(conn, schedule)?.plan;
                let plan = Draft { bot: Some(asks), body: String::new(), ..plan };
                drafting::actions::change_schedule(conn, schedule, &plan, by, at)?;
                drafting::actions::launch(conn, campaign, by, at)
            })
            .await?;
        self.turn(begins * 60, begins * 60 + 75, 5).await?;
        let said = [
            ["5", "The friendly people"],
            ["4", "It was quick"],
            ["1", "I waited for an hour"],
            ["great!", "5"],
            ["3", ""],
            ["", ""],
        ];
        for (round, minutes) in [(0, begins + 6), (1, begins + 21)] {
            self.app.clock.set(self.now + TimeDelta::minutes(minutes));
            for (n, number) in numbers().take(visits.contacts / 2).enumerate() {
                self.says(self.channel, &number, said[n % said.len()][round]).await?;
            }
            self.turn(minutes * 60, minutes * 60 + 20, 5).await?;
        }

        let meets = self.publish("front-desk").await?;
        let zone = self.app.settings.time_zone;
        self.app.clock.set(self.now - TimeDelta::minutes(45));
        let at = self.app.clock.now();
        // On a number of its own: whoever tries out an inbound campaign finds the first channel free.
        let line = ChannelSetup {
            name: "Sandbox SMS, front desk".to_owned(),
            sender: "Bugle desk".to_owned(),
            per_minute: None,
            own: Own::of(ProviderName::Sandbox),
            typed: Credentials::default(),
        };
        let desk = self
            .app
            .db
            .run(move |conn| channels::actions::add(conn, Kind::Sms, &line, &Keyring::default(), by, at))
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        self.app
            .db
            .run(move |conn| {
                let id = drafting::actions::create(conn, "Front desk", CampaignKind::Inbound, zone, by, at)?;
                let midnight = NaiveTime::MIN;
                let plan = Draft::once("SMS", desk, "", at.date_naive(), midnight, midnight, 60.0);
                let plan = Draft { bot: Some(meets), when: When::Inbound, rate: Rate::Auto, ..plan };
                drafting::actions::add_schedule(conn, id, &plan, by, at)?;
                drafting::actions::launch(conn, id, by, at)
            })
            .await?;
        let writes: [(&str, &[&str]); 5] = [
            ("19865550120", &["Hi, are you open today?", "when do you open", "no thanks"]),
            ("19865550121", &["Where is my parcel?", "order", "It is 10482"]),
            ("19865550122", &["hello", "I want to speak to somebody"]),
            ("19865550123", &["Good morning", "order"]),
            ("19865550124", &["My name is spelt wrong in your letters", "else"]),
        ];
        for round in 0..3 {
            let minutes = -40 + round * 4;
            self.app.clock.set(self.now + TimeDelta::minutes(minutes));
            for (number, texts) in writes {
                self.says(desk, number, texts.get(round as usize).unwrap_or(&"")).await?;
            }
            self.turn(minutes * 60, minutes * 60 + 20, 5).await?;
        }
        Ok(())
    }

    /// Publishes one of the bots to begin with.
    async fn publish(&self, word: &str) -> anyhow::Result<Pinned> {
        let (by, now) = (self.by, self.app.clock.now());
        let example = Example::of_word(word).context("no such example")?;
        self.app
            .db
            .run(move |conn| {
                let bot = bots::actions::create(conn, example.name, &example.steps(), by, now)?;
                let revision = bots::store::draft(conn, bot)?.revision;
                let version = bots::actions::publish(conn, bot, revision, "", by, now)?;
                Ok::<_, Error<bots::domain::Refused>>(Pinned { bot, version })
            })
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Somebody writes, unless there is nothing to say.
    async fn says(&self, channel: ChannelId, from: &str, text: &str) -> anyhow::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let now = self.app.clock.now();
        let id = format!("demo-{from}-{}", now.timestamp());
        let inbound = Inbound { id, from: from.to_owned(), text: text.to_owned(), at: Some(now), ..Inbound::default() };
        intake::take_in(&self.app, channel, vec![Event::Inbound(inbound)], now).await?;
        Ok(())
    }

    /// A day on which nothing is sent.
    async fn holidays(&self) -> anyhow::Result<()> {
        let (by, now, today) = (self.by, self.now, self.now.with_timezone(&self.app.settings.time_zone).date_naive());
        let christmas = |year| NaiveDate::from_ymd_opt(year, 12, 25);
        let next = christmas(today.year()).filter(|day| today < *day).or(christmas(today.year() + 1));
        let days: Vec<NaiveDate> = next.into_iter().collect();
        self.app
            .db
            .run(move |conn| settings::actions::add_blackouts(conn, &days, "Christmas Day", by, now))
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// One file for three regions, each with a text of its own; two regions have none.
    async fn regions(&self, starts: i64) -> anyhow::Result<()> {
        let (by, zone, channel) = (self.by, self.app.settings.time_zone, self.channel);
        let now = self.now;
        self.app.clock.set(now);
        let file = self.import("regions.csv", 500).await?;
        let start = self.whole_minute(starts).with_timezone(&zone);
        let plans: Vec<Draft> = ["Dublin", "Cork", "Galway"]
            .into_iter()
            .map(|city| {
                let body = format!("Hi #name, our {city} shop opens late this week. See you there!");
                let end = (start + TimeDelta::hours(2)).time();
                let plan = Draft::once(city, channel, &body, start.date_naive(), start.time(), end, 20.0);
                Draft { group: Some(city.to_owned()), rate: Rate::Auto, late: LatePolicy::Spread, ..plan }
            })
            .collect();
        self.app
            .db
            .run(move |conn: &mut PgConnection| {
                let id = drafting::actions::create(conn, "Late opening", CampaignKind::OnceOff, zone, by, now)?;
                drafting::actions::set_file(conn, id, Some(file), by, now)?;
                drafting::actions::set_group_by(conn, id, Some("city"), by, now)?;
                for plan in &plans {
                    drafting::actions::add_schedule(conn, id, plan, by, now)?;
                }
                drafting::actions::launch(conn, id, by, now)
            })
            .await?;
        starter::tick(&self.app).await?;
        Ok(())
    }

    /// Waits for a file at any time of any day, so that whoever tries it out can drop one.
    async fn every_day(&self) -> anyhow::Result<()> {
        let (by, zone, channel) = (self.by, self.app.settings.time_zone, self.channel);
        let now = self.now;
        self.app.clock.set(now);
        let sample = self.import("payments-sample.csv", 20).await?;
        let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default();
        let waits =
            DailyPlan { opens: time(0, 0), closes: time(23, 59), days: Days::ALL, expected_name: String::new() };
        let body = "Dear #name, #balance euro are due on #due. Paid already? Then thank you!";
        let plan = Draft::once("Whenever it comes", channel, body, now.date_naive(), time(0, 5), time(23, 55), 60.0);
        let plan = Draft { when: When::Daily, late: LatePolicy::KeepRate, ..plan };
        self.app
            .db
            .run(move |conn: &mut PgConnection| {
                let id = drafting::actions::create(conn, "Payments due", CampaignKind::Daily, zone, by, now)?;
                drafting::actions::set_file(conn, id, Some(sample), by, now)?;
                daily::actions::set_plan(conn, id, &waits, by, now)?;
                drafting::actions::add_schedule(conn, id, &plan, by, now)?;
                drafting::actions::launch(conn, id, by, now)?;
                Ok::<_, anyhow::Error>(())
            })
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn minutes_until_tomorrow_at(&self, hour: u32) -> i64 {
        let zone = self.app.settings.time_zone;
        let tomorrow = self.now.with_timezone(&zone).date_naive() + TimeDelta::days(1);
        let at = NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
        (crate::pacing::instant(tomorrow, at, zone) - self.now).num_minutes() + 1
    }

    /// A draft with its file imported and one schedule.
    async fn draft(&self, plan: &Plan<'_>) -> anyhow::Result<(CampaignId, ScheduleId)> {
        let (by, zone, channel) = (self.by, self.app.settings.time_zone, self.channel);
        let starts = self.whole_minute(plan.starts);
        self.app.clock.set(starts.min(self.now) - TimeDelta::minutes(10));
        let now = self.app.clock.now();
        let file =
            self.import(&format!("{}.csv", plan.campaign.to_lowercase().replace(' ', "-")), plan.contacts).await?;
        let (start, end) = (starts.with_timezone(&zone), self.whole_minute(plan.ends).with_timezone(&zone));
        let name = plan.campaign.to_owned();
        let (date, start, end) = (start.date_naive(), start.time(), end.time());
        let plan = Draft::once(plan.schedule, channel, plan.body, date, start, end, plan.rate);
        let ids = self
            .app
            .db
            .run(move |conn: &mut PgConnection| {
                let campaign = drafting::actions::create(conn, &name, CampaignKind::OnceOff, zone, by, now)?;
                drafting::actions::set_file(conn, campaign, Some(file), by, now)?;
                let schedule = drafting::actions::add_schedule(conn, campaign, &plan, by, now)?;
                Ok::<_, Error<drafting::Refused>>((campaign, schedule))
            })
            .await?;
        Ok(ids)
    }

    async fn launch(&self, plan: &Plan<'_>) -> anyhow::Result<(CampaignId, ScheduleId)> {
        let (campaign, schedule) = self.draft(plan).await?;
        let (by, now) = (self.by, self.app.clock.now());
        self.app.db.run(move |conn| drafting::actions::launch(conn, campaign, by, now)).await?;
        Ok((campaign, schedule))
    }

    fn whole_minute(&self, minutes: i64) -> DateTime<Utc> {
        let minute = self.now.with_second(0).and_then(|it| it.with_nanosecond(0)).unwrap_or(self.now);
        minute + TimeDelta::minutes(minutes)
    }

    /// Turns the clock from one second before or after the present to another.
    async fn turn(&self, from: i64, to: i64, step: usize) -> anyhow::Result<()> {
        for second in (from..=to).step_by(step) {
            self.app.clock.set(self.now + TimeDelta::seconds(second));
            self.engine.turn().await?;
        }
        Ok(())
    }

    async fn import(&self, name: &str, contacts: usize) -> anyhow::Result<FileId> {
        let (app, by, now) = (self.app.clone(), self.by, self.app.clock.now());
        let (name, bytes) = (name.to_owned(), csv(contacts));
        let upload = move || files::upload::receive_bytes(&app, &name, &bytes, Kind::Sms, by, now);
        let file = tokio::task::spawn_blocking(upload).await?.map_err(|failed| anyhow::anyhow!("{failed}"))?;
        self.app
            .db
            .run(move |conn| {
                let head = files::store::find(conn, file)?.head;
                let mapping = Mapping::guess(&head.headers, &head.sample);
                files::actions::import(conn, file, mapping, String::new(), TwoWays::LeaveOut, by, now)
            })
            .await?;
        importer::tick(&self.app).await?;
        Ok(file)
    }
}

const NAMES: [&str; 12] =
    ["Anna", "Ben", "Chloé", "David", "Eoin", "Fatima", "Grace", "Hiro", "Inés", "Jan", "Kate", "Luca"];
const CITIES: [&str; 5] = ["Dublin", "Cork", "Galway", "Limerick", "Sligo"];

/// Numbers from the range that is kept free for stories: +1, any area, 555 01xx. Most
/// end so that the sandbox does nothing special.
fn numbers() -> impl Iterator<Item = String> {
    let areas = (201..990).filter(|area| area / 10 % 10 != 9 && area % 100 != 11);
    let endings = (0..80).chain([84, 90, 91]);
    areas.flat_map(move |area| endings.clone().map(move |ending| format!("1{area}55501{ending:02}")))
}

/// A file of people with these numbers.
fn csv(contacts: usize) -> Vec<u8> {
    let mut csv = String::from("phone,customer,name,city,balance,due\n");
    for (n, number) in numbers().take(contacts).enumerate() {
        let (name, city) = (NAMES[n * 7 % NAMES.len()], CITIES[n * 3 % CITIES.len()]);
        let balance = 15 + n * 37 % 800;
        csv.push_str(&format!("+{number},C{:05},{name},{city},{balance}.{:02},1 November\n", n + 1, n * 13 % 100));
    }
    csv.into_bytes()
}
