//! PAUSE ALL and STOP on the command line, for the day on which the pages do not answer.
//!
//! The same actions as behind the buttons, on the database itself: they hold for every process
//! that works with it, whether it can be reached or not.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bugle::app::App;
use bugle::clock::Clock;
use bugle::config::Settings;
use bugle::control::{self, actions};
use bugle::db::{Db, DbError, Error, Purpose};
use bugle::deliveries::counts::Scope;
use bugle::deliveries::quiet::{self, OnTheWire};
use bugle::engine::timekeeper;
use bugle::sandbox::carrier;
use diesel::PgConnection;

use crate::{Place, runtime};
use bugle::access::Actor;

/// Longer than this nobody waits for an answer, whatever hangs.
const WITHIN: Duration = Duration::from_secs(20);

/// What is ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    Pause,
    Stop,
}

impl Halt {
    /// What has to be typed.
    fn word(self) -> &'static str {
        match self {
            Halt::Pause => "PAUSE",
            Halt::Stop => "STOP",
        }
    }

    fn not_done(self) -> &'static str {
        match self {
            Halt::Pause => "NOT paused",
            Halt::Stop => "NOT stopped",
        }
    }
}

/// Pauses or stops everything in the place that is found, and says what came of it.
pub fn halt(halt: Halt, yes: bool, find: impl FnOnce() -> Result<Place>) -> Result<()> {
    let place = find().context(halt.not_done())?;
    let runtime = runtime().context(halt.not_done())?;
    let app = app(&place).context(halt.not_done())?.without_delay();
    let work = async {
        if !yes {
            ask(&app, halt).await?;
        }
        match tokio::time::timeout(WITHIN, carry_out(&app, halt)).await {
            Ok(done) => done,
            Err(_) => bail!("no answer within {} seconds; it may still be done. Run it again", WITHIN.as_secs()),
        }
    };
    let done = runtime.block_on(work).context(halt.not_done());
    // Threads that wait for a database that hangs are left behind.
    runtime.shutdown_background();
    println!("{}", done?);
    Ok(())
}

/// What actions ask for, without an engine.
pub fn app(place: &Place) -> Result<App> {
    let (db, clock) = (Db::connect(&place.url, 8)?, Clock::default());
    let (vital, providers) =
        (db.beside(Purpose::Vital, 2)?, carrier::providers(&db, &db, &clock, &Settings::default()));
    Ok(App {
        books: db.clone(),
        marks: Arc::default(),
        db,
        vital,
        clock,
        settings: Settings::default(),
        providers,
        said: Arc::default(),
        turns: Arc::default(),
        pulse: Arc::default(),
    })
}

/// Says what will be hit, and wants the word typed.
async fn ask(app: &App, halt: Halt) -> Result<()> {
    match halt {
        Halt::Pause => {
            println!("Every active campaign will be paused. RESUME ALL on the Campaigns page takes that back.")
        }
        Halt::Stop => {
            let now = app.clock.now();
            let count = app.db.run(move |conn| actions::would_stop(conn, now));
            let would = tokio::time::timeout(WITHIN, count).await.context("the database does not answer")??;
            println!(
                "{} campaigns with {} schedules will be stopped for good; {} contacts have not been sent to yet.",
                would.hit.campaigns, would.hit.schedules, would.unsent
            );
        }
    }
    print!("Type {} to go on: ", halt.word());
    std::io::stdout().flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == halt.word() { Ok(()) } else { bail!("{} was not typed", halt.word()) }
}

async fn carry_out(app: &App, halt: Halt) -> Result<String> {
    // As for every process the database's clock counts, if it can be asked.
    if let Err(error) = timekeeper::compare(app).await {
        tracing::warn!("the database's time could not be asked, this machine's is taken: {error:#}");
    }
    let now = app.clock.now();
    let order = move |conn: &mut PgConnection| {
        Ok::<_, Error<control::Refused>>(match halt {
            Halt::Pause => format!("Paused: {} campaigns.", actions::pause_all(conn, Actor::Shell, now)?),
            Halt::Stop => {
                let hit = actions::stop_all(conn, Actor::Shell, now)?;
                format!("Stopped: {} campaigns with {} schedules.", hit.campaigns, hit.schedules)
            }
        })
    };
    let done = match app.db.run(order).await {
        // What was done already is not done twice.
        Err(DbError::Lost(lost)) => match app.db.run(order).await {
            Err(DbError::Lost(again)) if lost.unchanged && again.unchanged => bail!("{again}"),
            Err(DbError::Lost(again)) => bail!("{again}; it may still be done. Run it again"),
            answer => answer?,
        },
        answer => answer?,
    };
    // Done it is, whether or not the wire can be looked at.
    let left = match quiet::wait(app, Scope::Everything).await {
        Ok(wire) => on_the_wire(&wire),
        Err(error) => format!("What is still on the wire could not be seen: {error:#}"),
    };
    Ok(format!("{done} Nothing more will leave.\n{left}"))
}

fn on_the_wire(wire: &OnTheWire) -> String {
    if wire.is_quiet() {
        return "Nothing is on the wire.".to_owned();
    }
    let mut left = format!("{} sends had begun and will settle:", wire.n);
    for send in &wire.sends {
        left.push_str(&format!("\n  {} of {}, by {}", send.address, send.run, send.deadline.format("%H:%M:%S UTC")));
    }
    left
}
