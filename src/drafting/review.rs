//! store: What somebody wants to know before a launch: computed by the planner that will
//! run it, and read from the contacts it will go to.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, Int8, Text as SqlText};

use crate::bots::domain::{Pinned, Sendable};
use crate::campaigns::store::{self, Lists};
use crate::campaigns::{Campaign, CampaignKind};
use crate::channels::domain::Channel;
use crate::channels::reach::DailyReach;
use crate::contacts::addresses::spaced;
use crate::daily::domain::DailyPlan;
use crate::db::{N, schema};
use crate::drafting;
use crate::drafting::Refused;
use crate::drafting::approvals::{self, ApprovalStanding};
use crate::drafting::audience::{COUNTED, Contacts, audience, contacts, data_fields, firsts_of_group};
use crate::drafting::dry_run::{self, DryRun};
use crate::drafting::fingerprint::{Decides, fingerprint};
use crate::drafting::own_yes::{self, LateStart, OwnYes, ReachAhead};
use crate::drafting::test_send::{self, Trial};
use crate::files::domain::File;
use crate::ids::{BotId, CampaignId, ChannelId, FileId, ListId, ScheduleId, UserId};
use crate::lists::domain::List;
use crate::media::domain::FileWay;
use crate::pacing::{self, Calendar, EmptyWindow, Forecast, Holds, ON_TIME, Rate, Window, upcoming};
use crate::providers::Kind;
use crate::schedules::same_group;
use crate::schedules::{self, After, Draft, Schedule, When};
use crate::settings::{self, House, Override};
use crate::wording::{Approved, FilledTemplate, Segments, Template as Text, segments};
use crate::{bots, channels, daily, files, lists, media};

/// What is known of a draft.
pub struct Facts {
    pub campaign: Campaign,
    pub contacts: Option<Contacts>,
    pub lists: ListChoice,
    /// How the contacts are split; `None` when they are not, or cannot be.
    pub groups: Option<Groups>,
    pub schedules: Vec<Schedule>,
    pub channels: Vec<Channel>,
    /// The approved texts of each channel that has some.
    pub templates: HashMap<ChannelId, Vec<Approved>>,
    /// Those that can be sent, and those that its schedules send.
    pub bots: Vec<Sendable>,
    /// What the installation says, and what the campaign says of its own.
    pub house: House,
    pub quiet: Override,
    pub obstacles: Vec<Refused>,
    /// What of the launch wants a yes of its own.
    pub own_yes: Vec<OwnYes>,
    pub reviews: Vec<Review>,
    /// Launched campaigns that went to the same contacts.
    pub used_by: Vec<String>,
    /// Of all that decides who gets what and when, as it is now.
    pub fingerprint: String,
    pub dry_run: Option<DryRun>,
    /// The last test of each schedule.
    pub trials: HashMap<ScheduleId, Trial>,
    pub approval: ApprovalStanding,
    /// When this was so.
    pub now: DateTime<Utc>,
    /// When the file of a daily campaign is expected, once that is said.
    pub daily: Option<DailyPlan>,
}

/// The lists there are, and which of them a draft goes to.
#[derive(Default)]
pub struct ListChoice {
    /// With their members, counted no further than [`COUNTED`]; `None` for a filter that nobody has counted yet.
    pub all: Vec<(List, Option<i64>)>,
    pub chosen: Lists,
}

/// The contacts of a file by the values of one column.
pub struct Groups {
    pub field: String,
    /// The commonest first.
    pub groups: Vec<GroupShare>,
    /// Contacts with nothing there.
    pub blank: i64,
}

/// Contacts whose values mean the same.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupShare {
    /// As it is spelt most often.
    pub value: String,
    pub n: i64,
    /// Names of the schedules that serve it.
    pub served_by: Vec<String>,
}

impl Groups {
    /// `counted`: values as they are spelt, the commonest first.
    fn of(field: &str, counted: Vec<(Option<String>, i64)>, schedules: &[Schedule]) -> Groups {
        let (mut groups, mut blank): (Vec<GroupShare>, i64) = (Vec::new(), 0);
        let mut places = HashMap::new();
        for (value, n) in counted {
            let value = value.map(|value| value.trim().to_owned()).unwrap_or_default();
            if value.is_empty() {
                blank += n;
                continue;
            }
            let place = *places.entry(value.to_lowercase()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.n += n,
                None => groups.push(GroupShare { value, n, served_by: Vec::new() }),
            }
        }
        for group in &mut groups {
            let serves = |it: &&Schedule| it.plan.group.as_ref().is_some_and(|value| same_group(value, &group.value));
            group.served_by = schedules.iter().filter(serves).map(|it| it.plan.name.clone()).collect();
        }
        groups.sort_by(|a, b| b.n.cmp(&a.n).then_with(|| a.value.cmp(&b.value)));
        Groups { field: field.to_owned(), groups, blank }
    }

    /// How many contacts a schedule with this group value has.
    pub fn n_of(&self, value: &str) -> i64 {
        self.groups.iter().find(|group| same_group(value, &group.value)).map_or(0, |group| group.n)
    }

    /// Contacts with a value that no schedule serves.
    pub fn unserved(&self) -> i64 {
        self.groups.iter().filter(|group| group.served_by.is_empty()).map(|group| group.n).sum()
    }
}

/// One schedule, looked at before the launch.
pub struct Review {
    pub schedule: Schedule,
    pub channel: String,
    pub contacts: i64,
    pub outlook: ReviewOutlook,
    /// What the first contacts get.
    pub texts: Vec<FirstText>,
    pub segments: Option<Segments>,
    /// How what the first text brings along leaves, if it brings something.
    pub brings: Option<FileWay>,
    /// Contacts that get nothing because they lack a value; `None` where only the
    /// check of every message knows.
    pub lacking: Option<i64>,
    pub needed: Vec<String>,
    pub unknown: Vec<String>,
    /// The channel's own limit, when it is what slows this down.
    pub limit: Option<i32>,
    /// When it runs next, of what recurs.
    pub next_runs: Vec<DateTime<Utc>>,
}

/// What one of the first contacts gets.
pub struct FirstText {
    /// As it will be dialled.
    pub to: String,
    /// The text, or why there is none.
    pub text: Result<String, String>,
}

impl Review {
    /// Whether it goes to those whom another schedule cannot reach.
    pub fn follows(&self) -> bool {
        self.schedule.plan.rules.after.is_some()
    }
}

impl Facts {
    /// What the schedule is called that a schedule follows.
    pub fn followed(&self, after: &After) -> &str {
        self.schedules.iter().find(|it| it.id == after.schedule).map_or("", |it| &it.plan.name)
    }

    /// The addresses of the first contacts, phone numbers as they will be dialled.
    pub fn first_addresses(&self) -> Vec<String> {
        let contacts = self.contacts.iter();
        contacts.flat_map(|it| it.firsts.iter().take(3).map(|first| shown(it.kind, &first.address))).collect()
    }

    /// Rows of the file that are not sent to.
    pub fn left_out(&self) -> i64 {
        self.contacts.as_ref().and_then(Contacts::file).map_or(0, |file| file.counts.bad + file.counts.duplicate)
    }

    /// What a bot is called, and which version of it that is.
    pub fn bot_words(&self, it: &Pinned) -> String {
        let name = self.bots.iter().find(|bot| bot.id == it.bot).map_or("", |bot| &bot.name);
        format!("{name} v{}", it.version)
    }

    /// Whether somebody may answer and go on talking.
    pub fn sends_bots(&self) -> bool {
        self.schedules.iter().any(|it| it.plan.bot.is_some())
    }

    /// The newest version of a bot, if that is another one.
    pub fn newer_version(&self, it: &Pinned) -> Option<i32> {
        let bot = self.bots.iter().find(|bot| bot.id == it.bot)?;
        Some(bot.newest()).filter(|newest| it.version < *newest)
    }
}

/// What the accounts of a draft's channels may reach, and how many of its contacts are new to them. Of one that starts
/// only after a day nothing of what is reached now counts any more.
fn reaches_ahead(
    conn: &mut PgConnection,
    reviews: &[Review],
    channels: &[Channel],
    (contacts, chosen): (&Contacts, &Lists),
    now: DateTime<Utc>,
) -> QueryResult<Vec<ReachAhead>> {
    let mut ahead: Vec<(DailyReach, ReachAhead)> = Vec::new();
    for review in reviews.iter().filter(|it| it.schedule.plan.template.is_some()) {
        let Some(channel) = channels.iter().find(|it| it.id == review.schedule.plan.channel_id) else { continue };
        let Some(reach) = channels::reach::of_channel(conn, channel.id)? else { continue };
        let heard = own_yes::n_heard(conn, channel, contacts, chosen, now)?.unwrap_or_default();
        let used = match review.outlook.window.starts < now + TimeDelta::days(1) {
            true => channels::reach::used(conn, &reach, now)?,
            false => 0,
        };
        let new = (review.contacts - heard).max(0);
        match ahead.iter_mut().find(|(known, _)| *known == reach) {
            Some((_, it)) => *it = ReachAhead { used: used.max(it.used), new: it.new + new, ..*it },
            None => {
                let limit = reach.limit;
                ahead.push((reach, ReachAhead { limit, used, new }));
            }
        }
    }
    Ok(ahead.into_iter().map(|(_, it)| it).collect())
}

/// Everything that the guided page shows of a draft.
pub fn gather(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> QueryResult<Facts> {
    let campaign = store::find(conn, id)?;
    let schedules = schedules::store::of_campaigns(conn, &[id])?;
    let channels = channels::store::list(conn)?;
    let ids: Vec<ChannelId> = channels.iter().map(|it| it.id).collect();
    let templates = channels::templates::of_channels(conn, &ids)?;
    let pinned: Vec<BotId> = schedules.iter().filter_map(|it| Some(it.plan.bot?.bot)).collect();
    let bots = bots::store::sendable(conn, &pinned)?;
    let house = settings::store::house(conn)?;
    let quiet = campaign.quiet;
    let chosen = store::lists(conn, id)?;
    let audience = audience(conn, &campaign, &chosen)?;
    let contacts = contacts(conn, &audience, &chosen, by)?;
    let groups = match (&campaign.group_by, contacts.as_ref().filter(|it| it.ready()).and_then(Contacts::file)) {
        (Some(field), Some(file)) => {
            files::store::counted_groups(conn, file.id, field)?.map(|counted| Groups::of(field, counted, &schedules))
        }
        _ => None,
    };
    let mut reviews = Vec::new();
    if let Some(contacts) = contacts.as_ref().filter(|contacts| contacts.ready()) {
        let about = About {
            campaign: &campaign,
            contacts,
            groups: groups.as_ref(),
            calendar: settings::calendars::of_campaign(conn, id)?,
            channels: &channels,
        };
        for schedule in &schedules {
            reviews.extend(review(conn, &about, schedule, now)?);
        }
    }
    let decides = Decides { campaign: &campaign, contacts: &audience.digest(), quiet: &quiet, schedules: &schedules };
    let fingerprint = fingerprint(&decides);
    let mut obstacles = drafting::obstacles::obstacles(conn, id, now)?;
    let approval = approvals::standing(conn, id, &fingerprint, house.approval.is_needed(audience.n()), by)?;
    obstacles.extend(approval.obstacle());
    obstacles.extend(reviews.iter().filter_map(|review| too_long(review, &channels)));
    let users = match contacts.as_ref().and_then(Contacts::file) {
        Some(file) => used_by(conn, file.id, id)?,
        None => Vec::new(),
    };
    let late = reviews.iter().filter(|review| review.outlook.late && !review.follows()).map(|review| LateStart {
        policy: review.schedule.plan.late,
        contacts: review.contacts,
        burst: review.outlook.burst,
        rate: review.outlook.rate,
    });
    let mut own_yes = own_yes::of_starts(late);
    if let Some(contacts) = contacts.as_ref().filter(|contacts| contacts.ready()) {
        let same_file: Vec<CampaignId> = users.iter().map(|(id, _)| *id).collect();
        own_yes.extend(own_yes::of_originals(conn, id, contacts, &chosen, &same_file)?);
        let mut outside = 0;
        for review in reviews.iter().filter(|it| it.schedule.plan.template.is_none() && !it.follows()) {
            let Some(channel) = channels.iter().find(|it| it.id == review.schedule.plan.channel_id) else { continue };
            let Some(heard) = own_yes::n_heard(conn, channel, contacts, &chosen, now)? else { continue };
            // Whoever is to be written to then may write until then, where a campaign goes out again and again.
            let is_once = matches!(campaign.kind, CampaignKind::OnceOff | CampaignKind::Quick);
            match heard == 0 && review.contacts > 0 && is_once && !channel.provider.approves_texts(channel.kind) {
                true => obstacles
                    .push(Refused::NobodyWrote { schedule: review.schedule.plan.name.clone(), n: review.contacts }),
                false => outside += (review.contacts - heard).max(0),
            }
        }
        own_yes.extend(own_yes::outside_the_window(outside));
        own_yes.extend(own_yes::beyond_reach(reaches_ahead(conn, &reviews, &channels, (contacts, &chosen), now)?));
    }
    Ok(Facts {
        obstacles,
        own_yes,
        used_by: users.into_iter().map(|(_, name)| name).collect(),
        lists: choice(conn, &campaign, chosen)?,
        dry_run: dry_run::find(conn, id)?,
        trials: test_send::last(conn, id)?,
        daily: daily::store::plan(conn, id)?,
        campaign,
        contacts,
        groups,
        schedules,
        channels,
        templates,
        bots,
        house,
        quiet,
        reviews,
        fingerprint,
        approval,
        now,
    })
}

/// The lists to choose from, where a draft can go to lists.
fn choice(conn: &mut PgConnection, campaign: &Campaign, chosen: Lists) -> QueryResult<ListChoice> {
    let by_lists = match campaign.kind {
        CampaignKind::Recurring => true,
        CampaignKind::OnceOff | CampaignKind::Quick => campaign.file_id.is_none(),
        CampaignKind::Daily | CampaignKind::Inbound => false,
    };
    if !by_lists {
        return Ok(ListChoice { all: Vec::new(), chosen });
    }
    let (members, counts) = (lists::store::count_members(conn, COUNTED)?, lists::store::last_counts(conn)?);
    let mut all = Vec::new();
    for list in lists::store::all(conn)? {
        let n = match &list.filter {
            // Counting takes seconds among many contacts; only those that are chosen are counted, together.
            Some(_) => counts.get(&list.id).map(|counted| counted.n),
            None => Some(members.iter().find(|(id, _)| *id == list.id).map_or(0, |(_, n)| *n)),
        };
        all.push((list, n));
    }
    Ok(ListChoice { all, chosen })
}

/// How many contacts these lists make together; 0 when their addresses are of several kinds.
pub fn count(conn: &mut PgConnection, include: &[ListId], exclude: &[ListId]) -> QueryResult<i64> {
    match lists::store::kind_of(conn, include)? {
        Some(kind) => lists::store::count_audience(conn, include, exclude, kind),
        None => Ok(0),
    }
}

/// What is the same for all schedules of a draft.
struct About<'a> {
    campaign: &'a Campaign,
    contacts: &'a Contacts,
    groups: Option<&'a Groups>,
    calendar: Calendar,
    channels: &'a [Channel],
}

/// That a text of the first contacts is longer than its channel carries, which would be refused to everybody.
fn too_long(review: &Review, channels: &[Channel]) -> Option<Refused> {
    let channel = channels.iter().find(|it| it.id == review.schedule.plan.channel_id)?;
    let most = channel.provider.longest()?;
    let lengths = review.texts.iter().filter_map(|it| Some(it.text.as_ref().ok()?.chars().count()));
    let n = lengths.max().filter(|n| most < *n)?;
    let (schedule, channel) = (review.schedule.plan.name.clone(), channel.provider.label().to_owned());
    Some(Refused::TooLong { schedule, n, channel, most })
}

/// `None` for one that has no window to draw; the obstacles tell of it.
fn review(
    conn: &mut PgConnection,
    about: &About<'_>,
    schedule: &Schedule,
    now: DateTime<Utc>,
) -> QueryResult<Option<Review>> {
    let About { campaign, contacts, .. } = about;
    let plan = &schedule.plan;
    let sender = about.channels.iter().find(|sender| sender.id == plan.channel_id);
    let limit = sender.and_then(|sender| sender.setup.per_minute);
    let group = about.groups.zip(plan.group.as_deref());
    let n = group.map_or(contacts.n, |(groups, value)| groups.n_of(value));
    let Ok(Some(outlook)) = self::outlook(plan, campaign.zone, n, limit, &about.calendar, now) else { return Ok(None) };
    if outlook.window.ends <= now {
        return Ok(None);
    }
    let firsts = match (group, contacts.file()) {
        (Some((groups, value)), Some(file)) => firsts_of_group(conn, file.id, &groups.field, value)?,
        _ => contacts.firsts.clone(),
    };
    // The words that were approved are nobody's fields.
    let typed = plan.template.as_ref().map_or_else(|| plan.body.clone(), FilledTemplate::typed);
    let text = Text::parse(&typed, &contacts.fields);
    let template = plan.template.as_ref();
    let says = bots::store::first(conn, &plan.body, plan.bot, template, &contacts.fields, campaign.zone)?;
    let texts: Vec<FirstText> = firsts
        .iter()
        .filter_map(|first| {
            let said = says.render(first.values.as_object()?, outlook.window.starts);
            let text = said.map(|content| content.words().0.to_owned()).map_err(|unsaid| unsaid.to_string());
            Some(FirstText { to: shown(contacts.kind, &first.address), text })
        })
        .collect();
    let is_sms = sender.is_some_and(|sender| sender.kind == Kind::Sms);
    let first_text = texts.first().and_then(|it| it.text.as_deref().ok());
    let counted = first_text.unwrap_or(plan.body.as_str());
    let brings = match (sender, first_text) {
        (Some(sender), Some(text)) => media::store::way(conn, text, sender.provider, sender.kind)?,
        _ => None,
    };
    Ok(Some(Review {
        brings,
        channel: sender.map(|sender| sender.setup.name.clone()).unwrap_or_default(),
        contacts: n,
        limit: limit.filter(|_| outlook.limited),
        next_runs: match &plan.when {
            When::Recurring(it) => upcoming(&it.rule, now, campaign.zone, it.last_date, 5),
            When::Once { .. } | When::Undecided | When::Daily | When::Inbound => Vec::new(),
        },
        outlook,
        segments: is_sms.then(|| segments(counted)),
        texts,
        lacking: match (group, contacts.file()) {
            (None, Some(file)) if plan.bot.is_none() => Some(lacking(conn, file, &text.needed())?),
            _ => None,
        },
        needed: text.needed().into_iter().map(str::to_owned).collect(),
        unknown: text.unknown().to_vec(),
        schedule: schedule.clone(),
    }))
}

fn shown(kind: Kind, address: &str) -> String {
    if kind.is_phone() { spaced(address) } else { address.to_owned() }
}

/// What would leave when, if the campaign were launched now.
#[derive(Clone, Debug, PartialEq)]
pub struct ReviewOutlook {
    pub window: Window,
    pub forecast: Forecast,
    /// When nothing is sent.
    pub holds: Holds,
    /// It starts after its window opened.
    pub late: bool,
    /// Sends a minute that it starts with.
    pub rate: f64,
    /// The channel's limit is slower than the plan.
    pub limited: bool,
    /// Sends that leave at once to catch up.
    pub burst: i64,
}

/// The next run of a plan; `None` when it never runs. `limit`: the most that the
/// channel lets go in a minute.
pub fn outlook(
    plan: &Draft,
    zone: Tz,
    contacts: i64,
    limit: Option<i32>,
    calendar: &Calendar,
    now: DateTime<Utc>,
) -> Result<Option<ReviewOutlook>, EmptyWindow> {
    let Some(mut window) = plan.first_window(zone, now)? else { return Ok(None) };
    let starts = match plan.when {
        When::Once { .. } | When::Undecided | When::Recurring(_) | When::Inbound => now.max(window.starts),
        // Today's or tomorrow's file, should it come in time.
        When::Daily => {
            if window.starts <= now {
                window = plan.window_on((now + TimeDelta::days(1)).with_timezone(&zone).date_naive(), zone)?;
            }
            window.starts
        }
    };
    // Without a run there is no jitter yet: the earliest it can be.
    let holds = Calendar { jitter: TimeDelta::zero(), ..calendar.clone() }.closed(0, window.starts, window.ends);
    let begin = |rate| pacing::start(&window, rate, plan.late, contacts, &holds, starts);
    let mut begun = begin(plan.rate);
    let limit = limit.map(f64::from).filter(|limit| *limit < begun.clock.rate);
    if let Some(limit) = limit {
        begun = begin(Rate::Fixed(limit));
    }
    // The dispatcher asks for leave before its first claim; so do we, to see the clock it goes on with.
    let (_, clock) = pacing::allowance(begun.clock.past(&holds, starts), 0, 0, begun.burst, starts);
    Ok(Some(ReviewOutlook {
        window,
        forecast: pacing::forecast(&clock, 0, contacts, &holds, starts, window.ends),
        holds,
        late: starts - window.starts > ON_TIME,
        rate: clock.rate,
        limited: limit.is_some(),
        burst: begun.burst,
    }))
}

/// Contacts of a file that lack a value for one of these fields.
fn lacking(conn: &mut PgConnection, file: &File, needed: &[&str]) -> QueryResult<i64> {
    let data_fields = data_fields(file);
    if needed.iter().any(|field| !data_fields.iter().any(|data| data == field)) {
        return Ok(file.counts.good);
    }
    // The import has counted field by field; only for several together the rows are asked.
    let holes: Vec<_> = file.missing.iter().filter(|(field, _)| needed.contains(&field.as_str())).collect();
    match holes.as_slice() {
        [] => Ok(0),
        [(_, n)] => Ok(*n),
        // Fields that are empty in a row are left out of its values.
        _ => diesel::sql_query("SELECT count(*) AS n FROM file_rows WHERE file_id = $1 AND NOT (\"values\" ?& $2)")
            .bind::<Int8, _>(file.id)
            .bind::<Array<SqlText>, _>(needed)
            .get_result::<N>(conn)
            .map(|it| it.n),
    }
}

/// Up to five launched campaigns that went to the same contacts, with their names: with the
/// same file, or with one of the same content.
fn used_by(conn: &mut PgConnection, file: FileId, except: CampaignId) -> QueryResult<Vec<(CampaignId, String)>> {
    use schema::{campaigns, files};
    let sha256: Vec<u8> = files::table.find(file).select(files::sha256).first(conn)?;
    campaigns::table
        .inner_join(files::table)
        .filter(campaigns::id.ne(except))
        .filter(campaigns::state.ne("draft"))
        .filter(files::id.eq(file).or(files::sha256.eq(sha256)))
        .order(campaigns::id.desc())
        .limit(5)
        .select((campaigns::id, campaigns::name))
        .load(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChannelId;
    use crate::pacing::LatePolicy;
    use crate::schedules::Rules;
    use crate::schedules::When;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    fn outlook_at(time: &str, late: LatePolicy, limit: Option<i32>) -> ReviewOutlook {
        let plan = Draft {
            name: "Dublin".into(),
            channel_id: ChannelId(1),
            body: "Hello".into(),
            bot: None,
            template: None,
            when: When::Once { date: utc("09:00:00").date_naive() },
            start: "09:00:00".parse().unwrap(),
            end: "09:10:00".parse().unwrap(),
            rate: Rate::Fixed(10.0),
            late,
            group: None,
            rules: Rules::default(),
        };
        outlook(&plan, Tz::UTC, 100, limit, &Calendar::open(Tz::UTC), utc(time)).unwrap().unwrap()
    }

    #[test]
    fn launched_in_time_it_goes_as_planned() {
        let outlook = outlook_at("08:00:00", LatePolicy::Spread, None);
        assert_eq!((outlook.late, outlook.burst, outlook.rate), (false, 0, 10.0));
        assert_eq!(outlook.forecast.minutes.iter().map(|it| it.1).collect::<Vec<_>>(), [10; 10]);
        assert_eq!(outlook.forecast.minutes[0].0, utc("09:00:00"));
    }

    #[test]
    fn launched_late_it_follows_its_policy() {
        let catch_up = outlook_at("09:05:00", LatePolicy::CatchUp, None);
        assert_eq!((catch_up.late, catch_up.burst, catch_up.forecast.unsent), (true, 50, 0));
        assert_eq!(catch_up.forecast.minutes[0], (utc("09:05:00"), 60));
        let spread = outlook_at("09:05:00", LatePolicy::Spread, None);
        assert_eq!((spread.rate, spread.forecast.unsent), (22.0, 0));
        assert_eq!(outlook_at("09:05:00", LatePolicy::KeepRate, None).forecast.unsent, 50);
    }

    #[test]
    fn a_slower_channel_is_told_before_the_launch() {
        let outlook = outlook_at("08:00:00", LatePolicy::CatchUp, Some(4));
        assert_eq!((outlook.rate, outlook.forecast.unsent), (4.0, 60));
    }
}
