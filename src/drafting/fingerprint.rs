//! domain: What decides who gets what and when, in one short text.
//!
//! What was found out about a draft, and what somebody agreed to, holds for one
//! fingerprint. Whatever is changed afterwards makes it another one. The names of the
//! campaign and its schedules are not part of it: no contact ever sees them.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::campaigns::Campaign;
use crate::schedules::{Schedule, When};
use crate::settings::Override;

/// Everything that decides.
pub struct Decides<'a> {
    pub campaign: &'a Campaign,
    /// Another text as soon as the contacts or their values are others.
    pub contacts: &'a str,
    pub quiet: &'a Override,
    pub schedules: &'a [Schedule],
}

pub fn fingerprint(it: &Decides<'_>) -> String {
    let schedules: Vec<_> = it
        .schedules
        .iter()
        .map(|schedule| {
            let plan = &schedule.plan;
            let when = match &plan.when {
                When::Once { date } => json!(["once", date]),
                When::Undecided => json!("undecided"),
                When::Daily => json!(["daily"]),
                When::Recurring(it) => json!(["recurring", it]),
                When::Inbound => json!(["inbound"]),
            };
            let mut decides = vec![
                json!(plan.channel_id),
                json!(plan.body),
                json!(plan.bot),
                json!(when),
                json!(plan.start),
                json!(plan.end),
                json!(plan.rate.fixed()),
                json!(plan.late),
                json!(plan.group),
                json!(plan.rules),
            ];
            // One without is as it was when there were none.
            decides.extend(plan.template.as_ref().map(|it| json!(it)));
            json!(decides)
        })
        .collect();
    let campaign = it.campaign;
    let quiet = it.quiet.quiet.own().map(|quiet| (quiet.from(), quiet.to()));
    let all = json!([
        campaign.kind,
        campaign.zone.name(),
        campaign.group_by,
        campaign.freeze,
        it.contacts,
        it.quiet.quiet.word(),
        quiet,
        it.quiet.blackouts_apply,
        schedules,
    ]);
    let digest = Sha256::digest(all.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveTime, TimeDelta};

    use super::*;
    use crate::bots::domain::Pinned;
    use crate::campaigns::CampaignKind;
    use crate::campaigns::CampaignState;
    use crate::campaigns::Freeze;
    use crate::campaigns::inbound::Validity;
    use crate::ids::{BotId, CampaignId, ChannelId, ScheduleId};
    use crate::pacing::{LateLimit, LatePolicy, LocalHours, Quiet, Rate, TooLate};
    use crate::schedules::{Busy, Canary};
    use crate::schedules::{Draft, ScheduleState};
    use crate::settings::QuietChoice;
    use crate::wording::FilledTemplate;

    fn time(text: &str) -> NaiveTime {
        NaiveTime::parse_from_str(text, "%H:%M").unwrap()
    }

    struct Plan {
        campaign: Campaign,
        contacts: String,
        quiet: Override,
        schedule: Schedule,
    }

    type Change = fn(&mut Plan);

    impl Plan {
        fn fingerprint(&self) -> String {
            fingerprint(&Decides {
                campaign: &self.campaign,
                contacts: &self.contacts,
                quiet: &self.quiet,
                schedules: std::slice::from_ref(&self.schedule),
            })
        }
    }

    fn plan() -> Plan {
        let date = "2026-03-02".parse().unwrap();
        Plan {
            campaign: Campaign {
                id: CampaignId(1),
                name: "Spring".into(),
                kind: CampaignKind::OnceOff,
                zone: chrono_tz::UTC,
                state: CampaignState::Draft,
                file_id: None,
                group_by: None,
                freeze: Freeze::Start,
                quiet: Override::default(),
                validity: Validity::DEFAULT,
                inbound: None,
            },
            contacts: "these".into(),
            quiet: Override::default(),
            schedule: Schedule {
                id: ScheduleId(1),
                campaign_id: CampaignId(1),
                plan: Draft::once("Main", ChannelId(1), "Hello", date, time("09:00"), time("10:00"), 60.0),
                state: ScheduleState::Active,
                next_run_at: None,
            },
        }
    }

    #[test]
    fn whatever_decides_who_gets_what_and_when_makes_it_another_one() {
        let own = QuietChoice::Own(Quiet::new(time("21:00"), time("08:00")).unwrap());
        let changes: [(&str, Change); 20] = [
            ("kind", |it| it.campaign.kind = CampaignKind::Daily),
            ("zone", |it| it.campaign.zone = chrono_tz::Europe::Dublin),
            ("group by", |it| it.campaign.group_by = Some("city".into())),
            ("freeze", |it| it.campaign.freeze = Freeze::Launch),
            ("contacts", |it| it.contacts = "those".into()),
            ("blackouts", |it| it.quiet.blackouts_apply = false),
            ("no quiet hours", |it| it.quiet.quiet = QuietChoice::None),
            ("text", |it| it.schedule.plan.body = "Hallo".into()),
            ("bot", |it| it.schedule.plan.bot = Some(Pinned { bot: BotId(1), version: 2 })),
            ("approved text", |it| it.schedule.plan.template = Some(FilledTemplate::default())),
            ("channel", |it| it.schedule.plan.channel_id = ChannelId(2)),
            ("days", |it| it.schedule.plan.when = When::Daily),
            ("start", |it| it.schedule.plan.start = time("09:01")),
            ("end", |it| it.schedule.plan.end = time("09:59")),
            ("rate", |it| it.schedule.plan.rate = Rate::Auto),
            ("late", |it| it.schedule.plan.late = LatePolicy::Spread),
            ("group", |it| it.schedule.plan.group = Some("Cork".into())),
            ("lateness", |it| {
                it.schedule.plan.rules.late = Some(LateLimit { within: TimeDelta::minutes(5), then: TooLate::Ask });
            }),
            ("canary", |it| {
                it.schedule.plan.rules.canary = Some(Canary { first: 10, minutes: 5, most_failed: 5.0 });
            }),
            ("busy", |it| it.schedule.plan.rules.busy = Busy::Skip),
        ];
        let mut seen = vec![plan().fingerprint()];
        for (what, change) in changes {
            let mut changed = plan();
            change(&mut changed);
            assert!(!seen.contains(&changed.fingerprint()), "{what}");
            seen.push(changed.fingerprint());
        }
        let mut changed = plan();
        changed.quiet.quiet = own;
        assert!(!seen.contains(&changed.fingerprint()), "own quiet hours");
        let mut changed = plan();
        changed.schedule.plan.rules.local = Some(LocalHours::new(time("09:00"), time("20:00")).unwrap());
        assert!(!seen.contains(&changed.fingerprint()), "hours of the contact");
    }

    #[test]
    fn names_decide_nothing() {
        let mut renamed = plan();
        renamed.campaign.name = "Autumn".into();
        renamed.schedule.plan.name = "Other".into();
        assert_eq!(renamed.fingerprint(), plan().fingerprint());
    }
}
