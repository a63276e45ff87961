//! Inbound campaigns: made and changed in one form, and at work as soon as it is saved.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use crate::bots::domain::Pinned;
use crate::campaigns::inbound::{InboundPlan, Validity};
use crate::campaigns::store::named;
use crate::campaigns::{Campaign, CampaignKind, CampaignState, Refused as CampaignRefused, store};
use crate::control::{self, LockedSchedule};
use crate::db::schema::{campaigns, conversations};
use crate::db::{Error, Reason, locks};
use crate::ids::{CampaignId, ChannelId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::pacing::{LatePolicy, Rate};
use crate::schedules::Rules;
use crate::schedules::{self, Draft, PausedWith, Schedule, ScheduleState, When};
use crate::{bots, channels, drafting, runs};

/// Why an inbound campaign stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Campaign(#[from] CampaignRefused),
    #[error(transparent)]
    Draft(#[from] drafting::Refused),
    #[error(transparent)]
    Control(#[from] control::Refused),
}

impl Reason for Refused {}

/// An inbound campaign as its form has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reception {
    pub name: String,
    pub zone: Tz,
    /// On each of them one schedule meets those who write first.
    pub channels: Vec<ChannelId>,
    pub bot: Pinned,
    pub plan: InboundPlan,
    pub validity: Validity,
}

/// What saving changes for people elsewhere. Each channel and campaign by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consequences {
    /// Channels on which another campaign meets people until now.
    pub takes_over: Vec<(String, String)>,
    /// Channels on which another one, launched later, goes on meeting them.
    pub stays_with: Vec<(String, String)>,
    /// Channels that it leaves for good, and how many conversations a bot has there.
    pub leaves: Vec<(String, i64)>,
}

impl Consequences {
    pub fn is_empty(&self) -> bool {
        *self == Consequences::default()
    }

    pub fn sentences(&self) -> Vec<String> {
        let takes_over = self.takes_over.iter().map(|(channel, by)| {
            format!(
                "“{by}” is current on {channel}; from now on this one meets who writes first there. Conversations that have begun go on with “{by}”."
            )
        });
        let stays_with = self.stays_with.iter().map(|(channel, by)| {
            format!(
                "“{by}” was started later and goes on meeting who writes first on {channel}, until it is paused or stopped."
            )
        });
        let leaves = self.leaves.iter().map(|(channel, n)| {
            let silent = match n {
                0 => "No bot has a conversation there.".to_owned(),
                1 => "The bot falls silent in 1 open conversation there; what is written goes to the inbox.".to_owned(),
                n => {
                    format!("The bot falls silent in {n} open conversations there; what is written goes to the inbox.")
                }
            };
            format!("It stops on {channel} for good. {silent}")
        });
        takes_over.chain(stays_with).chain(leaves).collect()
    }
}

/// The schedules of a campaign that meet somebody, or will when it goes on.
pub fn lines(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Vec<Schedule>> {
    let all = schedules::store::of_campaigns(conn, &[id])?;
    Ok(all.into_iter().filter(|it| it.state.stopped().is_ok()).collect())
}

/// What saving would bring: of a new one, or of the campaign `id`.
pub fn consequences(
    conn: &mut PgConnection,
    id: Option<CampaignId>,
    channels: &[ChannelId],
) -> QueryResult<Consequences> {
    let campaign = id.map(|id| store::find(conn, id)).transpose()?;
    let current = channels::store::met_by_campaigns(conn)?;
    let names = channels::store::list(conn)?;
    let name = |id: ChannelId| names.iter().find(|it| it.id == id).map_or(String::new(), |it| it.setup.name.clone());
    let mut came = Consequences::default();
    let launched = campaign.as_ref().filter(|it| it.state != CampaignState::Draft);
    let before = match launched {
        Some(campaign) => lines(conn, campaign.id)?,
        None => Vec::new(),
    };
    for channel in channels.iter().filter(|it| !before.iter().any(|line| line.plan.channel_id == **it)) {
        let Some((other, by)) = current.get(channel) else { continue };
        match launched.map(|it| (it.id, it.state)) {
            None => came.takes_over.push((name(*channel), by.clone())),
            Some((id, CampaignState::Active)) if is_newer(conn, id, *other)? => {
                came.takes_over.push((name(*channel), by.clone()));
            }
            Some((_, CampaignState::Active)) => came.stays_with.push((name(*channel), by.clone())),
            // It meets nobody before it goes on.
            Some(_) => {}
        }
    }
    for line in before.iter().filter(|line| !channels.contains(&line.plan.channel_id)) {
        let with_bot = conversations::table
            .filter(conversations::schedule_id.eq(line.id))
            .filter(conversations::handler.eq("bot"))
            .filter(conversations::closed_at.is_null())
            .count()
            .get_result(conn)?;
        came.leaves.push((name(line.plan.channel_id), with_bot));
    }
    Ok(came)
}

/// Whether messages are routed to the one rather than to the other where both are there.
pub fn is_newer(conn: &mut PgConnection, one: CampaignId, other: CampaignId) -> QueryResult<bool> {
    let newest: i64 = campaigns::table
        .filter(campaigns::id.eq_any([one.0, other.0]))
        .order((campaigns::launched_at.desc(), campaigns::id.desc()))
        .select(campaigns::id)
        .first(conn)?;
    Ok(newest == one.0)
}

/// Makes an inbound campaign, or changes one, and sets it to work. The bot, the hours and
/// the texts hold for new conversations at once, the validity for those that are open as well.
pub fn save(
    conn: &mut PgConnection,
    id: Option<CampaignId>,
    it: &Reception,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<CampaignId, Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_halt(conn, false)?;
        let id = match id {
            Some(id) => id,
            None => drafting::actions::create(conn, &it.name, CampaignKind::Inbound, it.zone, by, now)
                .map_err(Error::told_by)?,
        };
        let campaign = store::lock(conn, id)?;
        if campaign.kind != CampaignKind::Inbound {
            return Err(diesel::result::Error::NotFound.into());
        }
        match campaign.state {
            CampaignState::Draft | CampaignState::Active | CampaignState::Paused => {}
            CampaignState::Stopped => return Err(CampaignRefused::Stopped.into()),
            CampaignState::Finished => return Err(CampaignRefused::Finished.into()),
            CampaignState::Archived => return Err(CampaignRefused::Archived.into()),
        }
        let bot = bots::store::find(conn, it.bot.bot)?;
        if bot.archived_at.is_some() {
            return Err(drafting::Refused::BotArchived { schedule: it.name.clone(), bot: bot.name }.into());
        }
        let changed = changes(&campaign, it);
        named(store::set_basics(conn, id, &it.name, it.zone), &it.name)?;
        store::set_inbound(conn, id, &it.plan)?;
        store::set_validity(conn, id, it.validity)?;
        let bots_changed = set_lines(conn, &campaign, it, by, now)?;
        if campaign.state == CampaignState::Draft {
            drafting::actions::launch(conn, id, by, now).map_err(Error::told_by)?;
            return Ok(id);
        }
        let words: Vec<String> =
            changed.into_iter().chain(bots_changed.then(|| format!("bot {} v{}", bot.name, it.bot.version))).collect();
        if !words.is_empty() {
            let why = words.join(", ");
            journal::note(
                conn,
                Entry::new(Happened::CampaignEdited, id, by)
                    .of(id)
                    .was(campaign.state.word())
                    .became(campaign.state.word())
                    .why(&why),
                now,
            )?;
        }
        Ok(id)
    })
}

/// What is different, in words for the journal.
fn changes(campaign: &Campaign, new: &Reception) -> Vec<String> {
    let mut changes = Vec::new();
    if campaign.name != new.name {
        changes.push(format!("name {} → {}", campaign.name, new.name));
    }
    if campaign.zone != new.zone {
        changes.push(format!("zone {} → {}", campaign.zone, new.zone));
    }
    if campaign.validity != new.validity {
        changes.push(format!("validity {} → {}", campaign.validity.words(), new.validity.words()));
    }
    if let Some(plan) = &campaign.inbound {
        if plan.hours() != new.plan.hours() {
            changes.push(format!("hours {} → {}", plan.hours(), new.plan.hours()));
        }
        if plan.out_of_hours != new.plan.out_of_hours {
            changes.push("the text outside its hours".to_owned());
        }
        if plan.fallback != new.plan.fallback {
            changes.push("the text when the bot cannot go on".to_owned());
        }
    }
    changes
}

/// One schedule for each channel, with the bot. Returns whether a schedule got another bot.
fn set_lines(
    conn: &mut PgConnection,
    campaign: &Campaign,
    it: &Reception,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<bool, Error<Refused>> {
    let is_draft = campaign.state == CampaignState::Draft;
    let all = schedules::store::of_campaigns(conn, &[campaign.id])?;
    let mut served: Vec<ChannelId> = Vec::new();
    let mut bots_changed = false;
    for mut line in all.iter().filter(|line| line.state.stopped().is_ok()).cloned() {
        let channel = line.plan.channel_id;
        if it.channels.contains(&channel) && !served.contains(&channel) {
            served.push(channel);
            if line.plan.bot != Some(it.bot) {
                bots_changed = true;
                line.plan.bot = Some(it.bot);
                schedules::store::save_plan(conn, line.id, &line.plan)?;
            }
        } else if is_draft {
            schedules::store::delete(conn, line.id)?;
        } else {
            let runs = runs::store::lock_of_schedule(conn, line.id)?;
            let mut line = LockedSchedule::new(line, runs);
            line.stop(now)?;
            control::store::save(conn, &line, Happened::ScheduleStopped, by.into(), None, now)?;
        }
    }
    let channels = channels::store::list(conn)?;
    for channel in it.channels.iter().filter(|channel| !served.contains(channel)) {
        let Some(sender) = channels.iter().find(|sender| sender.id == *channel) else {
            return Err(diesel::result::Error::NotFound.into());
        };
        let name = free_name(&sender.setup.name, &all);
        let line = plan(&name, *channel, it.bot);
        let line: ScheduleId = schedules::store::insert(conn, campaign.id, &line)?;
        if campaign.state == CampaignState::Paused {
            let mut line = schedules::store::lock(conn, line)?;
            line.pause(PausedWith::Campaign, now).map_err(control::Refused::from)?;
            schedules::store::save_state(conn, &line)?;
        }
        if !is_draft {
            let why = format!("meets who writes first on {}", sender.setup.name);
            let entry = Entry::new(Happened::ScheduleAdded, line, by)
                .of(campaign.id)
                .became(ScheduleState::Active.word())
                .why(&why);
            journal::note(conn, entry, now)?;
        }
    }
    Ok(bots_changed)
}

/// A schedule is called after its channel; one that came back, with a number.
fn free_name(channel: &str, all: &[Schedule]) -> String {
    let taken = |name: &str| all.iter().any(|line| line.plan.name.eq_ignore_ascii_case(name));
    let numbered = (2..).map(|n| format!("{channel} {n}"));
    let mut names = std::iter::once(channel.to_owned()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or_default()
}

/// Of no meaning but for its channel and its bot: when it is there is said by its campaign.
fn plan(name: &str, channel_id: ChannelId, bot: Pinned) -> Draft {
    Draft {
        name: name.to_owned(),
        channel_id,
        body: String::new(),
        template: None,
        bot: Some(bot),
        when: When::Inbound,
        start: NaiveTime::MIN,
        end: NaiveTime::MIN,
        rate: Rate::Auto,
        late: LatePolicy::CatchUp,
        group: None,
        rules: Rules::default(),
    }
}
