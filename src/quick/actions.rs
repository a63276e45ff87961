//! Quick campaigns: drafted and launched in one go.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use crate::campaigns::store::{self, Lists};
use crate::campaigns::{CampaignKind, CampaignState, Freeze};
use crate::db::{Db, Error, locks};
use crate::drafting;
use crate::drafting::Refused;
use crate::ids::{CampaignId, FileId, ListId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::quick::understood::{QuickSource, understood};
use crate::schedules::{self, Draft};

/// A quick campaign as its page has it.
#[derive(Clone, Debug)]
pub struct Quick {
    /// Given by the form: sent twice, it starts one campaign.
    pub key: String,
    pub name: String,
    pub zone: Tz,
    pub to: QuickTo,
    pub plan: Draft,
}

/// Whom it goes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuickTo {
    File(FileId),
    List(ListId),
}

/// Where a quick campaign stands after it was sent off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stands {
    /// It is on the Campaigns screen.
    Launched,
    /// It launches by itself when its file is imported.
    Importing,
    /// Something stands in the way; the page of the draft says what.
    Draft,
}

/// The turn of one of several requests that bring the same key: what each of them uploaded
/// would be imported for nothing. It ends when it is dropped, or its process ends.
pub struct QuickTurn(#[allow(dead_code, reason = "the turn is the connection's")] PgConnection);

/// Takes the turn under a key, unless another request has it.
pub fn take_turn(db: &Db, key: &str) -> anyhow::Result<Option<QuickTurn>> {
    let mut conn = db.open()?;
    Ok(store::try_turn(&mut conn, key)?.then_some(QuickTurn(conn)))
}

/// Makes a campaign with one schedule and launches it, all in one transaction. Asked
/// for again with the same key, be it at the same time, the answer is the same campaign.
///
/// What keeps it from being launched leaves a draft.
pub fn start(
    conn: &mut PgConnection,
    quick: &Quick,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(CampaignId, Stands), Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_start_key(conn, &quick.key)?;
        locks::take_halt(conn, false)?;
        if let Some(started) = started(conn, &quick.key)? {
            return Ok(started);
        }
        let id = drafting::actions::create(conn, &quick.name, CampaignKind::Quick, quick.zone, by, now)?;
        store::set_start_key(conn, id, &quick.key)?;
        match quick.to {
            QuickTo::File(file) => drafting::actions::set_file(conn, id, Some(file), by, now)?,
            QuickTo::List(list) => {
                let lists = Lists { include: vec![list], exclude: Vec::new() };
                drafting::actions::set_lists(conn, id, &lists, Freeze::Start, by, now)?;
            }
        }
        drafting::actions::add_schedule(conn, id, &quick.plan, by, now)?;
        let importing = match quick.to {
            QuickTo::File(file) => store::is_importing(conn, file)?,
            QuickTo::List(_) => false,
        };
        if importing {
            store::launch_later(conn, id, by, now)?;
            return Ok((id, Stands::Importing));
        }
        match drafting::actions::launch(conn, id, by, now) {
            Ok(()) => Ok((id, Stands::Launched)),
            Err(Error::Refused(_)) => Ok((id, Stands::Draft)),
            Err(error) => Err(error),
        }
    })
}

/// What was started with this key, if anything was.
pub fn started(conn: &mut PgConnection, key: &str) -> QueryResult<Option<(CampaignId, Stands)>> {
    match store::started_with(conn, key)? {
        Some(id) => stands(conn, id).map(|stands| Some((id, stands))),
        None => Ok(None),
    }
}

pub fn stands(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Stands> {
    match store::find(conn, id)?.state {
        CampaignState::Draft if store::will_launch(conn, id)? => Ok(Stands::Importing),
        CampaignState::Draft => Ok(Stands::Draft),
        CampaignState::Active
        | CampaignState::Paused
        | CampaignState::Stopped
        | CampaignState::Finished
        | CampaignState::Archived => Ok(Stands::Launched),
    }
}

/// Launches a draft that was waiting for its file. Returns whether it did; what could
/// not be launched stays a draft, whose page says why.
pub fn launch_due(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        // Taken before anything else: after PAUSE ALL or STOP there is nothing left to strike off.
        locks::take_halt(conn, false)?;
        let Some(by) = store::take_launch(conn, id)? else { return Ok(false) };
        // Somebody looks first at what cannot be sent, on the page of the draft.
        let why = match asks(conn, id)? {
            true => "its file has to be looked at first".to_owned(),
            false => match drafting::actions::launch(conn, id, by, now) {
                Ok(()) => return Ok(true),
                Err(Error::Refused(refused)) => refused.to_string(),
                Err(Error::Database(error)) => return Err(error),
            },
        };
        let draft = CampaignState::Draft.word();
        let entry = Entry::new(Happened::CampaignLaunchTakenBack, id, by).of(id).was(draft).became(draft).why(&why);
        journal::note(conn, entry, now)?;
        Ok(false)
    })
}

/// Whether something about the file of a quick campaign has to be looked at before it is sent.
fn asks(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    let Some(file) = store::find(conn, id)?.file_id else { return Ok(false) };
    for schedule in schedules::store::of_campaigns(conn, &[id])? {
        if understood(conn, &QuickSource::File(file), &schedule.plan.body)?.asks() {
            return Ok(true);
        }
    }
    Ok(false)
}
