//! What it comes to, and the launch.

use actix_session::Session;
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::QueryResult;

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::{CampaignKind, store};
use crate::daily::web::PlanForm;
use crate::drafting::Refused;
use crate::drafting::audience::fingerprint_of;
use crate::drafting::dry_run::{self, Checked, DryRun, MOST_PARTS, UNASKED, Weighed};
use crate::drafting::review::{Facts, Review, ReviewOutlook};
use crate::drafting::test_send::Trial;
use crate::drafting::web::contacts::total;
use crate::ids::{CampaignId, ScheduleId};
use crate::pacing::{LatePolicy, Rate};
use crate::providers::Kind;
use crate::schedules::{Draft, When};
use crate::web::chart::{Course, Timeline, thousands};
use crate::web::{Htmx, May, Problem, page, tell_draft};

impl Review {
    /// What late start means here, if it would start late.
    pub fn late(&self) -> Option<String> {
        if !self.outlook.late {
            return None;
        }
        let starts = "Its start has passed: launched now, it starts late.";
        Some(match self.schedule.plan.late {
            LatePolicy::CatchUp => {
                format!("{starts} The {} that were due by now leave at once.", thousands(self.outlook.burst))
            }
            LatePolicy::Spread => format!(
                "{starts} All contacts are spread over the time that is left, {} a minute.",
                rate_text(self.outlook.rate)
            ),
            LatePolicy::KeepRate => format!("{starts} It keeps its rate from now on."),
        })
    }

    /// SMS over all contacts, should the others' texts be as long as the first one's.
    fn estimate(&self) -> Option<String> {
        let parts = self.segments?.parts as i64;
        let contacts = self.contacts - self.lacking.unwrap_or(0);
        let total = thousands(parts * contacts);
        Some(format!(
            "about {total} SMS: {parts} for each of {} contacts, if all texts are like the first",
            thousands(contacts)
        ))
    }

    /// Contacts that get nothing for want of a value, as far as is known without a look at every message.
    pub fn lacking(&self) -> Option<String> {
        self.lacking.filter(|n| *n > 0).map(thousands)
    }

    pub fn unsent(&self) -> Option<String> {
        Some(self.outlook.forecast.unsent).filter(|n| *n > 0).map(thousands)
    }

    pub fn needed(&self) -> String {
        self.needed.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(" or ")
    }

    pub fn unknown(&self) -> String {
        self.unknown.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(", ")
    }
}

/// On which days, and from when to when.
pub fn plan_times(plan: &Draft) -> String {
    let (start, end) = (plan.start.format("%H:%M"), plan.end.format("%H:%M"));
    match &plan.when {
        When::Once { .. } | When::Undecided | When::Daily => format!("{}, {start}–{end}", plan.when.words()),
        // Its rule says itself when it starts.
        When::Recurring(_) => format!("{}, until {end}", plan.when.words()),
        When::Inbound => plan.when.words(),
    }
}

pub fn plan_rate(rate: &Rate) -> String {
    rate.fixed().map_or("auto".to_owned(), rate_text)
}

pub fn rate_text(rate: f64) -> String {
    format!("{}", (rate * 100.0).round() / 100.0)
}

impl Facts {
    /// What a schedule costs: as every message was weighed, if that was done to what is there now.
    pub fn cost(&self, review: &Review) -> Option<String> {
        let holds = self.dry_run.as_ref().filter(|it| it.fingerprint == self.fingerprint);
        let checked = holds.and_then(|it| it.done.as_ref()).map(|(_, checked)| checked);
        let weighed = checked.and_then(|it| it.schedules.iter().find(|it| it.schedule == review.schedule.id));
        match weighed.filter(|it| it.is_sms) {
            Some(it) => {
                let (parts, sent) = (thousands(it.parts), total(it.sent()));
                let unicode = match it.unicode {
                    0 => String::new(),
                    n => format!(", {} of them in Unicode", thousands(n)),
                };
                Some(format!("{parts} SMS for {sent}{unicode}"))
            }
            None => review.estimate(),
        }
    }

    /// The first thing that keeps it from being launched, and how many more there are.
    pub fn missing(&self) -> Option<(&Refused, usize)> {
        let (first, more) = self.obstacles.split_first()?;
        Some((first, more.len()))
    }

    /// What a launch comes to, in a line: whom it reaches, by how many schedules, from when to when.
    pub fn in_short(&self) -> Vec<String> {
        let n = self.contacts.as_ref().map_or(0, |contacts| contacts.n);
        let n = self.groups.as_ref().map_or(n, |groups| n - groups.unserved() - groups.blank);
        let sample = if self.campaign.kind == CampaignKind::Daily { " as in the sample" } else { "" };
        let schedules = match self.schedules.len() {
            1 => "1 schedule".to_owned(),
            n => format!("{n} schedules"),
        };
        let mut parts = vec![format!("{}{sample}", total(n)), schedules];
        let outlooks = || self.reviews.iter().map(|it| &it.outlook);
        let Some(starts) = outlooks().map(|it| it.window.starts).min() else { return parts };
        let local = |at: DateTime<Utc>| at.with_timezone(&self.campaign.zone);
        let begins = match starts <= self.now {
            true => "at once".to_owned(),
            false => local(starts).format("%a %-d %b %H:%M").to_string(),
        };
        let unsent: i64 = outlooks().map(|it| it.forecast.unsent).sum();
        let last = match unsent {
            0 => outlooks().filter_map(|it| it.forecast.finishes).max(),
            _ => outlooks().map(|it| it.window.ends).max(),
        };
        let day = local(starts.max(self.now)).date_naive();
        let until = last.map(|at| match local(at).date_naive() == day {
            true => local(at).format("%H:%M").to_string(),
            false => local(at).format("%a %-d %b %H:%M").to_string(),
        });
        parts.push(match (until, unsent) {
            (Some(at), 0) => format!("{begins} – done {at}"),
            (Some(at), n) => format!("{begins} – ends {at}, {} not reached", total(n)),
            (None, _) => begins,
        });
        parts
    }

    pub fn timeline(&self, review: &Review) -> Timeline {
        let ReviewOutlook { window, forecast, holds, .. } = &review.outlook;
        let held: Vec<_> = holds.iter().map(|hold| (hold.from, hold.to)).collect();
        Timeline::of(forecast, window, self.campaign.zone, Course::default()).with_holds(&held)
    }

    pub fn ready(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// Whether only a second person is missing, or nothing at all.
    pub fn is_whole(&self) -> bool {
        self.obstacles.iter().all(|it| matches!(it, Refused::NotApproved | Refused::ApprovedByYourself))
    }

    /// Small enough to be checked without being asked to, and not checked as it is now.
    pub fn wants_check(&self) -> bool {
        let n = self.contacts.as_ref().map_or(0, |contacts| contacts.n);
        self.is_whole() && n <= UNASKED && self.dry_run.as_ref().is_none_or(|it| it.fingerprint != self.fingerprint)
    }

    pub fn local(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.campaign.zone).format("%-d %B %Y, %H:%M").to_string()
    }

    /// Asks a daily campaign when its file is expected; nothing for the others.
    pub fn daily_form(&self) -> Option<PlanForm> {
        let is_daily = self.campaign.kind == CampaignKind::Daily;
        is_daily.then(|| PlanForm::new(self.campaign.id, self.campaign.zone, self.daily.as_ref()))
    }

    /// Where an obstacle is taken out of the way.
    pub fn place(&self, obstacle: &Refused) -> &'static str {
        match obstacle {
            Refused::NoFile
            | Refused::NoLists
            | Refused::NobodyOnLists
            | Refused::FileNotReady
            | Refused::NoContacts => "contacts",
            Refused::NoDailyPlan => "daily",
            Refused::NoSuchColumn { .. } => "groups",
            Refused::NoSchedules
            | Refused::WindowPassed { .. }
            | Refused::EmptyWindow { .. }
            | Refused::NeverRuns { .. }
            | Refused::NoDay { .. }
            | Refused::NobodyWrote { .. }
            | Refused::RunGoesOn { .. }
            | Refused::NobodyLeft
            | Refused::OtherWhen { .. }
            | Refused::BotArchived { .. }
            | Refused::NoGroup { .. }
            | Refused::SameGroup { .. }
            | Refused::FollowsBadly { .. }
            | Refused::TooLong { .. }
            | Refused::FollowedBy { .. }
            | Refused::OtherKind { .. } => "schedules",
            Refused::NotApproved | Refused::ApprovedByYourself => "approval",
            Refused::NotAgreed(_) => "launch",
            _ => "basics",
        }
    }

    pub fn when(&self, outlook: &ReviewOutlook) -> String {
        let local = |at: DateTime<Utc>| at.with_timezone(&self.campaign.zone);
        let (starts, ends) = (local(outlook.window.starts), local(outlook.window.ends));
        let end = if starts.date_naive() == ends.date_naive() { "%H:%M" } else { "%-d %B, %H:%M" };
        format!("{} to {} ({})", starts.format("%-d %B %Y, %H:%M"), ends.format(end), self.campaign.zone)
    }

    pub fn finish(&self, outlook: &ReviewOutlook) -> Option<String> {
        let at = outlook.forecast.finishes?.with_timezone(&self.campaign.zone);
        Some(at.format("%-d %B, %H:%M:%S").to_string())
    }
}

// Every message

/// The check of every message; it asks for itself while it goes on.
#[derive(Template)]
#[template(path = "campaigns/drafting/_check.html")]
pub struct Check {
    campaign: CampaignId,
    zone: Tz,
    check: Option<DryRun>,
    /// Something was changed since.
    is_stale: bool,
    /// It begins by itself when the page is open.
    begins: bool,
}

impl Check {
    fn local(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %B %Y, %H:%M").to_string()
    }
}

impl Facts {
    pub fn check(&self) -> Check {
        let check = self.dry_run.clone();
        Check {
            campaign: self.campaign.id,
            zone: self.campaign.zone,
            is_stale: check.as_ref().is_some_and(|it| it.fingerprint != self.fingerprint),
            begins: self.wants_check(),
            check,
        }
    }
}

impl DryRun {
    pub fn percent(&self) -> i64 {
        (self.rows_done * 100).checked_div(self.rows).unwrap_or(0).clamp(0, 100)
    }
}

impl Checked {
    /// SMS over all schedules; `None` when there are none.
    pub fn parts(&self) -> Option<String> {
        let sms: Vec<_> = self.schedules.iter().filter(|it| it.is_sms).collect();
        (!sms.is_empty()).then(|| thousands(sms.iter().map(|it| it.parts).sum()))
    }

    pub fn is_fine(&self) -> bool {
        self.no_group == 0 && self.schedules.iter().all(Weighed::is_fine)
    }

    /// What the import left out, if anything.
    pub fn left_out(&self) -> Option<String> {
        let rows = |n: i64, what: &str| match n {
            0 => None,
            1 => Some(format!("1 row {what}")),
            n => Some(format!("{} rows {what}", thousands(n))),
        };
        let said: Vec<_> = [rows(self.duplicates, "came twice"), rows(self.not_taken, "could not be taken")]
            .into_iter()
            .flatten()
            .collect();
        (!said.is_empty()).then(|| format!("Left out at the import: {}.", said.join(", ")))
    }
}

impl Weighed {
    /// What is wrong, with how many contacts it concerns.
    pub fn troubles(&self) -> Vec<(String, String)> {
        let long = match self.is_sms {
            true => format!("longer than {MOST_PARTS} SMS"),
            false => format!("longer than {} characters", self.most),
        };
        let counted = [
            (self.blocklisted, "on the blocklist".to_owned()),
            (self.opted_out, "opted out".to_owned()),
            (self.doubted, "seem to have opted out".to_owned()),
        ];
        let missing = self.missing.iter().map(|(field, n)| (*n, format!("no value for #{field}")));
        counted
            .into_iter()
            .chain(missing)
            .chain([(self.too_long, long)])
            .filter(|(n, _)| *n > 0)
            .map(|(n, words)| (thousands(n), words))
            .collect()
    }
}

#[post("/campaigns/{id}/check")]
pub async fn check_messages(
    may: May<Manage>,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| dry_run::order(conn, id, by, now)).await?;
    htmx.fragment_or_redirect(check_of(&app, id).await?, format!("/campaigns/{id}/edit#check"))
}

#[get("/campaigns/{id}/check")]
pub async fn check_goes_on(_may: May<Manage>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let check = check_of(&app, id.into_inner()).await?;
    let is_done = check.check.as_ref().is_some_and(|it| it.done.is_some());
    let mut answer = page(check)?;
    if is_done {
        // What the review says of the cost follows from it.
        tell_draft(&mut answer);
    }
    Ok(answer)
}

/// The check alone. What the draft has become meanwhile is asked only when it is through.
async fn check_of(app: &App, id: CampaignId) -> Result<Check, Problem> {
    let check = app.db.run(move |conn| {
        let campaign = store::find(conn, id)?;
        let check = dry_run::find(conn, id)?;
        let is_stale = match check.as_ref().filter(|check| check.done.is_some()) {
            Some(check) => fingerprint_of(conn, &campaign)?.0 != check.fingerprint,
            None => false,
        };
        QueryResult::Ok(Check { campaign: id, zone: campaign.zone, check, is_stale, begins: false })
    });
    Ok(check.await?)
}

// One message to oneself

/// Where the session keeps the number that tests go to.
pub(super) const NUMBER_IN_SESSION: &str = "test_number";

pub fn last_number(session: &Session) -> String {
    session.get(NUMBER_IN_SESSION).ok().flatten().unwrap_or_default()
}

/// The test of one schedule; it asks for itself until its outcome is known.
#[derive(Template)]
#[template(path = "campaigns/drafting/_test.html")]
pub struct Test {
    pub(super) campaign: CampaignId,
    pub(super) schedule: ScheduleId,
    pub(super) trial: Option<Trial>,
    pub(super) number: String,
    pub(super) error: Option<String>,
    pub(super) on_phone: bool,
    pub(super) goes_on: bool,
}

impl Test {
    pub(super) fn of(
        review: (CampaignId, ScheduleId),
        trial: Option<Trial>,
        kind: Option<Kind>,
        number: &str,
        now: DateTime<Utc>,
    ) -> Self {
        let (campaign, schedule) = review;
        Test {
            campaign,
            schedule,
            on_phone: kind.or(trial.as_ref().map(|trial| trial.kind)).is_some_and(Kind::is_phone),
            goes_on: trial.as_ref().is_some_and(|trial| trial.goes_on(now)),
            trial,
            number: number.to_owned(),
            error: None,
        }
    }
}
