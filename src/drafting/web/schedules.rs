//! The form of a schedule.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc, Weekday};
use serde::Deserialize;

use crate::campaigns::CampaignKind;
use crate::channels::template_form::TemplateForm;
use crate::drafting::obstacles::follows_kind;
use crate::drafting::review::Facts;
use crate::drafting::web::bot_choice::BotForm;
use crate::ids::ChannelId;
use crate::pacing::{CronText, Days, LateLimit, LatePolicy, LocalHours, Missed, Overlap, Rate, Rule, TooLate};
use crate::schedules::{After, Busy, Canary, Rules};
use crate::schedules::{Draft, Recurrence, When};
use crate::web::FieldErrors;

/// A schedule as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleForm {
    pub schedule_name: String,
    pub channel: String,
    /// `bot`, or a text.
    pub sends: String,
    pub body: String,
    pub bot: String,
    pub version: String,
    #[serde(flatten)]
    pub approved: TemplateForm,
    pub group: String,
    // When
    pub date: String,
    pub repeat: String,
    pub mon: String,
    pub tue: String,
    pub wed: String,
    pub thu: String,
    pub fri: String,
    pub sat: String,
    pub sun: String,
    pub cron: String,
    pub last_date: String,
    pub start: String,
    pub end: String,
    pub missed: String,
    pub missed_minutes: String,
    pub overlap: String,
    // How fast
    pub pace: String,
    pub rate: String,
    /// Empty: as suits the rate.
    pub late: String,
    pub late_within: String,
    pub late_then: String,
    // To whom, and how carefully
    pub local_from: String,
    pub local_to: String,
    pub canary_first: String,
    pub canary_minutes: String,
    pub canary_failed: String,
    pub busy: String,
    /// The schedule whose unreached people it goes to; empty: everybody.
    pub after: String,
    pub after_minutes: String,
}

/// The longest text. What it costs is told long before.
const LONGEST_TEXT: usize = 5000;

/// As the database has it.
const FASTEST: f64 = 6_000_000.0;

/// The longest that a run may be late, in minutes: a week.
const LATEST: i64 = 7 * 24 * 60;

/// How late a recurring run may be until somebody says otherwise, in minutes.
const USUALLY_LATE: i64 = 60;

/// How long after the end of another schedule's run those are known whom it could not reach, in minutes.
const USUALLY_AFTER: i32 = 15;

/// The longest that the others wait for the first contacts, in minutes: a day.
const LONGEST_WAIT: i32 = 24 * 60;

fn hour_and_minute(time: NaiveTime) -> String {
    time.format("%H:%M").to_string()
}

fn time_of(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

fn on(is_so: bool) -> String {
    if is_so { "on".to_owned() } else { String::new() }
}

impl ScheduleForm {
    pub fn of(plan: &Draft) -> Self {
        let rules = &plan.rules;
        let BotForm { bot, version } = BotForm::of(plan.bot);
        let mut form = ScheduleForm {
            schedule_name: plan.name.clone(),
            channel: plan.channel_id.to_string(),
            sends: if plan.bot.is_some() { "bot" } else { "text" }.to_owned(),
            body: plan.body.clone(),
            bot,
            version,
            approved: TemplateForm::of(plan.template.as_ref()),
            group: plan.group.clone().unwrap_or_default(),
            start: hour_and_minute(plan.start),
            end: hour_and_minute(plan.end),
            pace: if plan.rate == Rate::Auto { "auto" } else { "fixed" }.to_owned(),
            rate: plan.rate.fixed().map(|rate| rate.to_string()).unwrap_or_default(),
            late: match plan.late == LatePolicy::default_for(plan.rate) {
                true => String::new(),
                false => plan.late.word().to_owned(),
            },
            late_within: rules.late.map(|limit| limit.within.num_minutes().to_string()).unwrap_or_default(),
            late_then: rules.late.map_or(TooLate::Overrun, |limit| limit.then).word().to_owned(),
            local_from: rules.local.map(|hours| hour_and_minute(hours.from())).unwrap_or_default(),
            local_to: rules.local.map(|hours| hour_and_minute(hours.to())).unwrap_or_default(),
            canary_first: rules.canary.map(|it| it.first.to_string()).unwrap_or_default(),
            canary_minutes: rules.canary.map_or("10".to_owned(), |it| it.minutes.to_string()),
            canary_failed: rules.canary.map_or("10".to_owned(), |it| it.most_failed.to_string()),
            busy: rules.busy.word().to_owned(),
            after: rules.after.map(|it| it.schedule.to_string()).unwrap_or_default(),
            after_minutes: rules.after.map_or(USUALLY_AFTER, |it| it.minutes).to_string(),
            ..ScheduleForm::weekdays()
        };
        match &plan.when {
            When::Once { date } => form.date = date.to_string(),
            When::Daily | When::Inbound | When::Undecided => {}
            When::Recurring(it) => form.take_recurrence(it),
        }
        form
    }

    /// Every weekday, until somebody says otherwise.
    fn weekdays() -> Self {
        let mut form = ScheduleForm {
            repeat: "weekly".to_owned(),
            missed: "late".to_owned(),
            missed_minutes: USUALLY_LATE.to_string(),
            overlap: Overlap::Skip.word().to_owned(),
            after_minutes: USUALLY_AFTER.to_string(),
            ..ScheduleForm::default()
        };
        form.take_days(Days::WEEKDAYS);
        form
    }

    fn take_days(&mut self, days: Days) {
        use Weekday::*;
        let is = |day| on(days.contains(day));
        (self.mon, self.tue, self.wed, self.thu) = (is(Mon), is(Tue), is(Wed), is(Thu));
        (self.fri, self.sat, self.sun) = (is(Fri), is(Sat), is(Sun));
    }

    fn take_recurrence(&mut self, it: &Recurrence) {
        match &it.rule {
            Rule::Weekly { days, .. } => self.take_days(*days),
            Rule::Cron(cron) => (self.repeat, self.cron) = ("cron".to_owned(), cron.text().to_owned()),
        }
        self.last_date = it.last_date.map(|date| date.to_string()).unwrap_or_default();
        self.missed = it.missed.word().to_owned();
        if let Missed::Late { within } = it.missed {
            self.missed_minutes = within.num_minutes().to_string();
        }
        self.overlap = it.overlap.word().to_owned();
    }

    /// What is offered for another schedule: from the next quarter of an hour, for two hours.
    pub fn fresh(facts: &Facts, group: &str, now: DateTime<Utc>) -> Self {
        let n = facts.schedules.len();
        let local = now.with_timezone(&facts.campaign.zone).naive_local();
        let into_quarter = TimeDelta::seconds(i64::from(local.time().num_seconds_from_midnight() % 900));
        let start = local - into_quarter + TimeDelta::minutes(15);
        let plain =
            Draft::once("", ChannelId(0), "", start.date(), start.time(), (start + TimeDelta::hours(2)).time(), 60.0);
        let last = facts.schedules.last().map(|schedule| &schedule.plan);
        let BotForm { bot, version } = BotForm::of(last.and_then(|plan| plan.bot));
        let name = match group {
            "" if n == 0 => "Main".to_owned(),
            "" => format!("Schedule {}", n + 1),
            group => group.to_owned(),
        };
        ScheduleForm {
            schedule_name: name,
            channel: last.map(|plan| plan.channel_id.to_string()).unwrap_or_default(),
            sends: if bot.is_empty() { "text" } else { "bot" }.to_owned(),
            body: last.map(|plan| plan.body.clone()).unwrap_or_default(),
            bot,
            version,
            approved: TemplateForm::of(last.and_then(|plan| plan.template.as_ref())),
            group: group.to_owned(),
            ..ScheduleForm::of(&plain)
        }
    }

    pub fn days(&self) -> [(&'static str, &'static str, bool); 7] {
        [
            ("mon", "Mon", &self.mon),
            ("tue", "Tue", &self.tue),
            ("wed", "Wed", &self.wed),
            ("thu", "Thu", &self.thu),
            ("fri", "Fri", &self.fri),
            ("sat", "Sat", &self.sat),
            ("sun", "Sun", &self.sun),
        ]
        .map(|(field, word, typed)| (field, word, !typed.is_empty()))
    }

    /// What may become of a missed run, to choose from.
    pub fn missed_choices(&self) -> impl Iterator<Item = Missed> {
        Missed::WORDS.into_iter().filter_map(|word| Missed::of_word(word, TimeDelta::minutes(USUALLY_LATE)))
    }

    pub fn sends_bot(&self) -> bool {
        self.sends == "bot"
    }

    pub fn bot_form(&self) -> BotForm {
        BotForm { bot: self.bot.clone(), version: self.version.clone() }
    }

    pub fn is_cron(&self) -> bool {
        self.repeat == "cron"
    }

    pub fn is_auto(&self) -> bool {
        self.pace == "auto"
    }

    /// Whether the folded fields differ from what they are for everybody.
    pub fn uses_lateness(&self) -> bool {
        !self.late.is_empty() || !self.late_within.trim().is_empty()
    }

    pub fn uses_care(&self) -> bool {
        let typed = [&self.local_from, &self.local_to, &self.canary_first];
        typed.iter().any(|it| !it.trim().is_empty()) || !["", Busy::Ignore.word()].contains(&self.busy.as_str())
    }

    pub fn uses_missed(&self) -> bool {
        let usual = ScheduleForm::weekdays();
        (&self.missed, &self.missed_minutes, &self.overlap) != (&usual.missed, &usual.missed_minutes, &usual.overlap)
    }

    pub fn start_time(&self) -> Option<NaiveTime> {
        time_of(&self.start)
    }

    /// On which days, for a campaign of this kind; what is wrong is said at the fields.
    pub fn when(&self, kind: CampaignKind, errors: &mut FieldErrors) -> Option<When> {
        match kind {
            CampaignKind::OnceOff | CampaignKind::Quick => {
                let date = self.date.trim().parse::<NaiveDate>().ok();
                if date.is_none() {
                    errors.add("date", "A date, such as 2026-03-25.");
                }
                Some(When::Once { date: date? })
            }
            CampaignKind::Daily => Some(When::Daily),
            CampaignKind::Recurring => self.recurrence(errors).map(When::Recurring),
            CampaignKind::Inbound => Some(When::Inbound),
        }
    }

    fn recurrence(&self, errors: &mut FieldErrors) -> Option<Recurrence> {
        let rule = if self.is_cron() {
            match self.cron.parse::<CronText>() {
                Ok(cron) => Some(Rule::Cron(cron)),
                Err(bad) => {
                    errors.add("cron", bad.to_string());
                    None
                }
            }
        } else {
            let days = Days::of_names(self.days().into_iter().filter(|(.., chosen)| *chosen).map(|(_, word, _)| word));
            if let Err(no_days) = &days {
                errors.add("mon", no_days.to_string());
            }
            let at = self.start_time();
            if at.is_none() {
                errors.add("start", "A time, such as 09:00.");
            }
            days.ok().zip(at).map(|(days, at)| Rule::Weekly { days, at })
        };
        let last_date = match self.last_date.trim() {
            "" => Some(None),
            text => text.parse::<NaiveDate>().ok().map(Some),
        };
        if last_date.is_none() {
            errors.add("last_date", "A date, such as 2026-12-31, or nothing.");
        }
        let minutes = whole(&self.missed_minutes, 1, LATEST);
        if self.missed == "late" && minutes.is_none() {
            errors.add("missed_minutes", format!("A whole number from 1 to {LATEST}."));
        }
        let within = TimeDelta::minutes(minutes.unwrap_or(USUALLY_LATE));
        let missed = Missed::of_word(&self.missed, within);
        if missed.is_none() {
            errors.add("missed", "Choose one.");
        }
        let overlap = Overlap::ALL.into_iter().find(|overlap| overlap.word() == self.overlap);
        if overlap.is_none() {
            errors.add("overlap", "Choose one.");
        }
        Some(Recurrence { rule: rule?, last_date: last_date?, missed: missed?, overlap: overlap? })
    }

    /// The schedule that it follows, if it follows one.
    fn after(&self, facts: &Facts, errors: &mut FieldErrors) -> Option<After> {
        let id = self.after.trim();
        if id.is_empty() {
            return None;
        }
        let Some(before) = facts.schedules.iter().find(|it| it.id.to_string() == id) else {
            errors.add("after", "That schedule is not there any more. Choose again.");
            return None;
        };
        let minutes = whole(&self.after_minutes, 0, LONGEST_WAIT.into());
        if minutes.is_none() {
            errors.add("after_minutes", format!("A whole number from 0 to {LONGEST_WAIT}."));
        }
        Some(After { schedule: before.id, minutes: minutes? as i32 })
    }

    fn rules(&self, facts: &Facts, errors: &mut FieldErrors) -> Rules {
        let mut rules = Rules { after: self.after(facts, errors), ..Rules::default() };
        if !self.late_within.trim().is_empty() {
            let within = whole(&self.late_within, 0, LATEST);
            if within.is_none() {
                errors.add("late_within", format!("A whole number from 0 to {LATEST}, or nothing."));
            }
            let then = TooLate::of_word(&self.late_then);
            if then.is_none() {
                errors.add("late_then", "Choose one.");
            }
            rules.late = within.zip(then).map(|(within, then)| LateLimit { within: TimeDelta::minutes(within), then });
        }
        if !self.local_from.trim().is_empty() || !self.local_to.trim().is_empty() {
            let (from, to) = (time_of(&self.local_from), time_of(&self.local_to));
            if from.is_none() {
                errors.add("local_from", "A time, such as 09:00.");
            }
            if to.is_none() {
                errors.add("local_to", "A time, such as 20:00.");
            }
            if let Some((from, to)) = from.zip(to) {
                match LocalHours::new(from, to) {
                    Ok(hours) => rules.local = Some(hours),
                    Err(empty) => errors.add("local_to", empty.to_string()),
                }
            }
        }
        if !self.canary_first.trim().is_empty() {
            let first = whole(&self.canary_first, 1, 1_000_000);
            if first.is_none() {
                errors.add("canary_first", "A whole number from 1, or nothing.");
            }
            let minutes = whole(&self.canary_minutes, 0, LONGEST_WAIT.into());
            if minutes.is_none() {
                errors.add("canary_minutes", format!("A whole number from 0 to {LONGEST_WAIT}."));
            }
            let failed = self.canary_failed.trim().parse::<f64>().ok().filter(|failed| (0.0..=100.0).contains(failed));
            if failed.is_none() {
                errors.add("canary_failed", "A number from 0 to 100.");
            }
            if let (Some(first), Some(minutes), Some(most_failed)) = (first, minutes, failed) {
                rules.canary = Some(Canary { first: first as i32, minutes: minutes as i32, most_failed });
            }
        }
        match Busy::of_word(&self.busy) {
            Some(busy) => rules.busy = busy,
            None if self.busy.is_empty() => {}
            None => errors.add("busy", "Choose one."),
        }
        rules
    }

    pub(super) fn parse(&self, facts: &Facts, now: DateTime<Utc>) -> Result<Draft, FieldErrors> {
        let mut errors = FieldErrors::default();
        let zone = facts.campaign.zone;
        let name = self.schedule_name.trim();
        if name.is_empty() {
            errors.add("schedule_name", "Give the schedule a name.");
        } else if name.chars().count() > 100 {
            errors.add("schedule_name", "At most 100 characters.");
        }
        let channel_id = self.channel.parse().map(ChannelId).unwrap_or(ChannelId(0));
        let kind = facts.contacts.as_ref().map(|contacts| contacts.kind);
        match facts.channels.iter().find(|sender| sender.id == channel_id) {
            None => errors.add("channel", "Choose a channel."),
            Some(sender) if !self.after.is_empty() && kind.is_some_and(|kind| follows_kind(kind, sender.kind)) => {}
            Some(sender) if kind.is_some_and(|kind| kind != sender.kind) => {
                errors
                    .add("channel", format!("The contacts' addresses are not of this kind: {}.", sender.kind.label()));
            }
            Some(_) => {}
        }
        let known = facts.templates.get(&channel_id).map_or(&[][..], Vec::as_slice);
        let approves = facts.channels.iter().any(|it| it.id == channel_id && it.provider.approves_texts(it.kind));
        let template = approves.then(|| self.approved.parse(known, &mut errors)).flatten();
        // Only what was chosen is kept: the text is gone with the bot or an approved text, the bot with the text.
        let (bot, body) = match (self.sends_bot(), &template) {
            (true, _) => (self.bot_form().parse(&facts.bots, &mut errors), String::new()),
            (false, Some(template)) => (None, template.words()),
            (false, None) => (None, self.body.replace("\r\n", "\n")),
        };
        let own_text = !self.sends_bot() && (!approves || self.approved.template.is_empty());
        if own_text && body.trim().is_empty() {
            errors.add("body", "Write the text.");
        } else if body.chars().count() > LONGEST_TEXT {
            errors.add("body", format!("At most {LONGEST_TEXT} characters."));
        }
        let before = facts.schedules.iter().find(|it| it.id.to_string() == self.after.trim());
        // Whoever follows another schedule serves its group.
        let group = match before {
            Some(before) => before.plan.group.as_deref(),
            None => Some(self.group.trim()).filter(|group| !group.is_empty()),
        };
        if facts.campaign.group_by.is_some() && group.is_none() && before.is_none() {
            errors.add("group", "Choose the group that it serves.");
        }
        let when = self.when(facts.campaign.kind, &mut errors);
        let by_cron = matches!(&when, Some(When::Recurring(it)) if matches!(it.rule, Rule::Cron(_)));
        // A cron expression says itself when it starts.
        let start = self.start_time().or(by_cron.then_some(NaiveTime::MIN));
        let end = time_of(&self.end);
        if start.is_none() {
            errors.add("start", "A time, such as 09:00.");
        }
        if end.is_none() {
            errors.add("end", "A time, such as 18:00.");
        }
        let rate = match self.is_auto() {
            true => Some(Rate::Auto),
            false => {
                let rate = self.rate.trim().parse::<f64>().ok().filter(|rate| 0.0 < *rate && *rate <= FASTEST);
                rate.map(Rate::Fixed)
            }
        };
        if rate.is_none() {
            errors.add("rate", "A number above 0 and up to 6,000,000.");
        }
        let late = match self.late.as_str() {
            "" => rate.map(LatePolicy::default_for),
            word => LatePolicy::of_word(word),
        };
        if late.is_none() && rate.is_some() {
            errors.add("late", "Choose one.");
        }
        let rules = self.rules(facts, &mut errors);
        let (Some(when), Some(start), Some(end), Some(rate), Some(late)) = (when, start, end, rate, late) else {
            return Err(errors);
        };
        let group = group.filter(|_| facts.campaign.group_by.is_some()).map(str::to_owned);
        let name = name.to_owned();
        let plan = Draft { name, channel_id, body, bot, template, when, start, end, rate, late, group, rules };
        match plan.first_window(zone, now) {
            Err(empty) => errors.add("end", empty.to_string()),
            Ok(None) => errors.add("last_date", "It would never run: choose a later last date."),
            Ok(Some(window)) if window.ends <= now && matches!(plan.when, When::Once { .. }) => {
                errors.add("end", "This has passed. Choose a later date or end time.");
            }
            Ok(Some(_)) => {}
        }
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }
}

fn whole(text: &str, least: i64, most: i64) -> Option<i64> {
    text.trim().parse().ok().filter(|n| (least..=most).contains(n))
}
