//! When a schedule would run, as it is typed.

use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, post};
use askama::Template;
use chrono::{DateTime, LocalResult, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::{CampaignKind, store};
use crate::drafting::web::schedules::ScheduleForm;
use crate::ids::CampaignId;
use crate::pacing::{Rule, upcoming};
use crate::schedules::When;
use crate::web::{FieldErrors, May, Problem, page};

/// The next runs of what is typed, or what keeps it from having any.
pub struct Instants {
    pub zone: Tz,
    pub runs: Vec<Instant>,
    pub wrong: Option<String>,
}

pub struct Instant {
    pub datetime: String,
    pub local: String,
    pub utc: String,
    /// What a change of the clocks does to it.
    pub note: Option<String>,
}

#[derive(Template)]
#[template(path = "campaigns/drafting/_instants.html")]
struct InstantsPart {
    instants: Instants,
}

impl Instants {
    pub fn of(form: &ScheduleForm, kind: CampaignKind, zone: Tz, now: DateTime<Utc>) -> Self {
        let mut errors = FieldErrors::default();
        let nothing = |wrong| Instants { zone, runs: Vec::new(), wrong };
        let Some(when) = form.when(kind, &mut errors) else {
            let wrong = ["cron", "mon", "start", "date", "last_date"].iter().find_map(|field| errors.of(field));
            return nothing(wrong.map(str::to_owned));
        };
        let start = form.start_time();
        let runs = match &when {
            When::Once { date } => match start {
                Some(start) => vec![crate::pacing::instant(*date, start, zone)],
                None => return nothing(None),
            },
            // It waits for files, so its next days are nobody's to know.
            When::Daily | When::Inbound | When::Undecided => return nothing(None),
            When::Recurring(it) => upcoming(&it.rule, now, zone, it.last_date, 5),
        };
        let meant = match &when {
            When::Recurring(it) => match &it.rule {
                Rule::Weekly { at, .. } => Some(*at),
                Rule::Cron(_) => None,
            },
            When::Once { .. } | When::Undecided | When::Daily | When::Inbound => start,
        };
        let wrong = runs.is_empty().then(|| "It would never run: its last date comes before its first.".to_owned());
        Instants { zone, runs: shown(&runs, meant, zone, now), wrong }
    }
}

/// `meant`: what the clock should show each time.
pub fn shown(runs: &[DateTime<Utc>], meant: Option<NaiveTime>, zone: Tz, now: DateTime<Utc>) -> Vec<Instant> {
    let offset = |at: &DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let before = std::iter::once(&now).chain(runs);
    runs.iter()
        .zip(before)
        .map(|(at, before)| {
            let local = at.with_timezone(&zone);
            let twice = matches!(zone.from_local_datetime(&local.naive_local()), LocalResult::Ambiguous(..));
            let note = match meant {
                Some(meant) if meant != local.time() => Some(format!(
                    "The clocks skip {} on this day; it runs at {}.",
                    meant.format("%H:%M"),
                    local.format("%H:%M")
                )),
                _ if twice => {
                    Some(format!("{} comes twice on this day; it runs the first time only.", local.format("%H:%M")))
                }
                _ if offset(at) != offset(before) => Some("The clocks have changed before this one.".to_owned()),
                _ => None,
            };
            let same_day = local.date_naive() == at.date_naive();
            Instant {
                datetime: at.to_rfc3339(),
                local: local.format("%a %-d %b %Y, %H:%M").to_string(),
                utc: at.format(if same_day { "%H:%M UTC" } else { "%a %-d %b, %H:%M UTC" }).to_string(),
                note,
            }
        })
        .collect()
}

/// Changes nothing; a POST because it takes the whole form.
#[post("/campaigns/{id}/instants")]
pub async fn instants(
    _may: May<Manage>,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<ScheduleForm>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    let campaign = app.db.run(move |conn| store::find(conn, id)).await?;
    page(InstantsPart { instants: Instants::of(&form, campaign.kind, campaign.zone, now) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_of_the_clocks_is_told_where_it_matters() {
        let zone = chrono_tz::Europe::Berlin;
        let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
        let days = crate::pacing::Days::ALL;
        let notes = |after: &str| -> Vec<(String, String, Option<String>)> {
            let now = utc(after);
            let runs = upcoming(&Rule::Weekly { days, at: half_past_two }, now, zone, None, 3);
            shown(&runs, Some(half_past_two), zone, now).into_iter().map(|it| (it.local, it.utc, it.note)).collect()
        };
        let skipped = "The clocks skip 02:30 on this day; it runs at 03:00.".to_owned();
        let changed = "The clocks have changed before this one.".to_owned();
        assert_eq!(
            notes("2026-03-27T12:00:00Z"),
            [
                ("Sat 28 Mar 2026, 02:30".into(), "01:30 UTC".into(), None),
                ("Sun 29 Mar 2026, 03:00".into(), "01:00 UTC".into(), Some(skipped)),
                ("Mon 30 Mar 2026, 02:30".into(), "00:30 UTC".into(), None),
            ]
        );
        let twice = "02:30 comes twice on this day; it runs the first time only.".to_owned();
        assert_eq!(
            notes("2026-10-24T12:00:00Z"),
            [
                ("Sun 25 Oct 2026, 02:30".into(), "00:30 UTC".into(), Some(twice)),
                ("Mon 26 Oct 2026, 02:30".into(), "01:30 UTC".into(), Some(changed)),
                ("Tue 27 Oct 2026, 02:30".into(), "01:30 UTC".into(), None),
            ]
        );
    }
}
