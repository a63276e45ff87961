//! actions: A second pair of eyes: launches that somebody else has to agree to.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::campaigns::{self, Campaign, CampaignKind, CampaignState, store};
use crate::db::Error;
use crate::db::schema::{approvals, users};
use crate::drafting::Refused;
use crate::ids::{CampaignId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::settings;

/// Somebody agreed to a launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    pub by: UserId,
    pub name: String,
    pub at: DateTime<Utc>,
    pub note: Option<String>,
}

/// How a draft stands with a second person, as one who looks at it sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum ApprovalStanding {
    NotNeeded,
    /// Nobody has agreed to it as it is; `before`: somebody had, before it was changed.
    Missing {
        before: Option<Approval>,
    },
    /// Whoever looks has agreed, and so has to leave the launch to another.
    ByYourself {
        at: DateTime<Utc>,
    },
    Given(Approval),
}

impl ApprovalStanding {
    pub fn obstacle(&self) -> Option<Refused> {
        match self {
            ApprovalStanding::NotNeeded | ApprovalStanding::Given(_) => None,
            ApprovalStanding::Missing { .. } => Some(Refused::NotApproved),
            ApprovalStanding::ByYourself { .. } => Some(Refused::ApprovedByYourself),
        }
    }
}

/// Fingerprint, who, their name, when, and their note.
type Stored = (String, i64, String, DateTime<Utc>, Option<String>);

/// `fingerprint`: of the draft as it is now.
pub fn standing(
    conn: &mut PgConnection,
    id: CampaignId,
    fingerprint: &str,
    needed: bool,
    by: UserId,
) -> QueryResult<ApprovalStanding> {
    if !needed {
        return Ok(ApprovalStanding::NotNeeded);
    }
    let given: Vec<Stored> = approvals::table
        .inner_join(users::table)
        .filter(approvals::campaign_id.eq(id))
        .order(approvals::approved_at.desc())
        .select((approvals::fingerprint, approvals::approved_by, users::name, approvals::approved_at, approvals::note))
        .load(conn)?;
    let mut given: Vec<(bool, Approval)> = given
        .into_iter()
        .map(|(of, by, name, at, note)| (of == fingerprint, Approval { by: UserId(by), name, at, note }))
        .collect();
    if let Some(n) = given.iter().position(|(holds, approval)| *holds && approval.by != by) {
        return Ok(ApprovalStanding::Given(given.swap_remove(n).1));
    }
    if let Some((_, own)) = given.iter().find(|(holds, _)| *holds) {
        return Ok(ApprovalStanding::ByYourself { at: own.at });
    }
    let before = (!given.is_empty()).then(|| given.swap_remove(0).1);
    Ok(ApprovalStanding::Missing { before })
}

/// Why `by` may not launch a campaign without a second person.
pub fn obstacle(conn: &mut PgConnection, campaign: &Campaign, by: UserId) -> QueryResult<Option<Refused>> {
    // It writes to nobody who has not written first.
    if campaign.kind == CampaignKind::Inbound {
        return Ok(None);
    }
    let approval = settings::store::house(conn)?.approval;
    if approval == settings::ApprovalRule::Never {
        return Ok(None);
    }
    let (fingerprint, contacts) = crate::drafting::audience::fingerprint_of(conn, campaign)?;
    Ok(standing(conn, campaign.id, &fingerprint, approval.is_needed(contacts), by)?.obstacle())
}

/// Agrees to the launch of a draft, provided that it still is what `by` saw: `seen` is
/// its fingerprint on their page.
pub fn approve(
    conn: &mut PgConnection,
    id: CampaignId,
    seen: &str,
    note: Option<&str>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        if campaign.state != CampaignState::Draft {
            return Err(campaigns::Refused::AlreadyLaunched.into());
        }
        let (fingerprint, _) = crate::drafting::audience::fingerprint_of(conn, &campaign)?;
        if fingerprint != seen {
            return Err(Refused::ChangedMeanwhile.into());
        }
        let n_new = diesel::insert_into(approvals::table)
            .values((
                approvals::campaign_id.eq(id),
                approvals::fingerprint.eq(&fingerprint),
                approvals::approved_by.eq(by),
                approvals::approved_at.eq(now),
                approvals::note.eq(note),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        if n_new == 1 {
            let entry = Entry::new(Happened::CampaignApproved, id, by).of(id).why_if(note);
            journal::note(conn, entry, now)?;
        }
        Ok(())
    })
}
