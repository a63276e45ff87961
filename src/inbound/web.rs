//! The form of an inbound campaign: made, changed while it is live, and started in one go.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{NaiveTime, Weekday};
use diesel::QueryResult;

use crate::access::Manage;
use crate::app::App;
use crate::bots::domain::Sendable;
use crate::campaigns::inbound::InboundPlan;
use crate::campaigns::validity_form::{UNITS, ValidityForm};
use crate::campaigns::{self, Campaign, CampaignKind, CampaignState, store};
use crate::channels::domain::Channel;
use crate::db::{DbError, Error};
use crate::drafting;
use crate::drafting::web::bot_choice::BotForm;
use crate::drafting::web::zones;
use crate::ids::{BotId, CampaignId, ChannelId};
use crate::inbound::actions::Refused;
use crate::inbound::actions::{Consequences, Reception};
use crate::pacing::Days;
use crate::schedules::Schedule;
use crate::web::{FieldErrors, Frame, May, Problem, page, page_with, see_other, version_of};
use crate::{bots, channels};

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(new_page).service(start).service(edit_page).service(change);
}

/// The longest text.
const LONGEST_TEXT: usize = 1000;

/// As typed.
#[derive(Clone, Debug, Default)]
struct InboundForm {
    name: String,
    time_zone: String,
    channels: Vec<ChannelId>,
    bot: BotForm,
    /// `hours`, or all day long.
    when: String,
    days: Vec<String>,
    from: String,
    to: String,
    out_of_hours: String,
    fallback: String,
    validity: ValidityForm,
    /// Ticked below what saving would bring.
    agreed: bool,
    /// Fingerprint of the sentences that were agreed to.
    seen: String,
}

const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Mon, "Mon"),
    (Weekday::Tue, "Tue"),
    (Weekday::Wed, "Wed"),
    (Weekday::Thu, "Thu"),
    (Weekday::Fri, "Fri"),
    (Weekday::Sat, "Sat"),
    (Weekday::Sun, "Sun"),
];

fn time_of(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

impl InboundForm {
    /// A box that is ticked is sent as a pair of its own.
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut form = InboundForm::default();
        for (field, value) in pairs {
            match field.as_str() {
                "name" => form.name = value,
                "time_zone" => form.time_zone = value,
                "channel" => form.channels.extend(value.parse().map(ChannelId)),
                "bot" => form.bot.bot = value,
                "version" => form.bot.version = value,
                "when" => form.when = value,
                "day" => form.days.push(value),
                "from" => form.from = value,
                "to" => form.to = value,
                "out_of_hours" => form.out_of_hours = value.replace("\r\n", "\n"),
                "fallback" => form.fallback = value.replace("\r\n", "\n"),
                "validity" => form.validity.validity = value,
                "validity_unit" => form.validity.validity_unit = value,
                "agreed" => form.agreed = true,
                "seen" => form.seen = value,
                _ => {}
            }
        }
        form
    }

    fn of(campaign: &Campaign, lines: &[Schedule]) -> Self {
        let plan = campaign.inbound.clone().unwrap_or_default();
        let shown = |time: NaiveTime| time.format("%H:%M").to_string();
        InboundForm {
            name: campaign.name.clone(),
            time_zone: campaign.zone.name().to_owned(),
            channels: lines.iter().map(|line| line.plan.channel_id).collect(),
            bot: BotForm::of(lines.first().and_then(|line| line.plan.bot)),
            validity: ValidityForm::of(campaign.validity),
            ..InboundForm::hours(&plan, shown)
        }
    }

    fn hours(plan: &InboundPlan, shown: impl Fn(NaiveTime) -> String) -> Self {
        let all_day = plan.from == plan.to;
        InboundForm {
            when: if all_day { "always" } else { "hours" }.to_owned(),
            days: plan.days.iter().map(|day| day.to_string()).collect(),
            from: if all_day { "09:00".to_owned() } else { shown(plan.from) },
            to: if all_day { "17:00".to_owned() } else { shown(plan.to) },
            out_of_hours: plan.out_of_hours.clone(),
            fallback: plan.fallback.clone(),
            ..InboundForm::default()
        }
    }

    fn has_hours(&self) -> bool {
        self.when == "hours"
    }

    fn is_on(&self, day: &&str) -> bool {
        self.days.iter().any(|it| it == day)
    }

    fn serves(&self, channel: &ChannelId) -> bool {
        self.channels.contains(channel)
    }

    fn parse(&self, about: &About) -> Result<Reception, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.name.trim();
        if name.is_empty() {
            errors.add("name", "Give the campaign a name.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let zone = self.time_zone.trim().parse();
        if zone.is_err() {
            errors.add("time_zone", "Choose a time zone from the list, such as Europe/Dublin.");
        }
        let mut channels: Vec<ChannelId> = Vec::new();
        for sender in about.channels.iter().filter(|sender| self.channels.contains(&sender.id)) {
            channels.push(sender.id);
        }
        if channels.is_empty() {
            errors.add("channel", "Choose at least one channel.");
        }
        let bot = self.bot.parse(&about.bots, &mut errors);
        let days = Days::of_names(self.days.iter().map(String::as_str));
        if let Err(no_days) = &days {
            errors.add("day", no_days.to_string());
        }
        let (mut from, mut to) = (Some(NaiveTime::MIN), Some(NaiveTime::MIN));
        if self.has_hours() {
            (from, to) = (time_of(&self.from), time_of(&self.to));
            if from.is_none() {
                errors.add("from", "A time, such as 09:00.");
            }
            if to.is_none() {
                errors.add("to", "A time, such as 17:00.");
            }
            if from.is_some() && from == to {
                errors.add("to", "Another time than the first, or choose all day.");
            }
        }
        for (field, text) in [("out_of_hours", &self.out_of_hours), ("fallback", &self.fallback)] {
            if text.chars().count() > LONGEST_TEXT {
                errors.add(field, format!("At most {LONGEST_TEXT} characters."));
            }
        }
        let validity = self.validity.parse(&mut errors);
        match (zone, bot, days, from, to, validity) {
            (Ok(zone), Some(bot), Ok(days), Some(from), Some(to), Some(validity)) if errors.is_empty() => {
                let (out_of_hours, fallback) = (self.out_of_hours.trim().to_owned(), self.fallback.trim().to_owned());
                let plan = InboundPlan { days, from, to, out_of_hours, fallback };
                Ok(Reception { name: name.to_owned(), zone, channels, bot, plan, validity })
            }
            _ => Err(errors),
        }
    }
}

/// What the form offers, and what is there already.
struct About {
    /// `None`: there is none yet.
    campaign: Option<Campaign>,
    lines: Vec<Schedule>,
    channels: Vec<Channel>,
    bots: Vec<Sendable>,
    /// Who meets people on each channel now, by name; not this campaign.
    others: Vec<(ChannelId, String)>,
}

async fn about(app: &App, id: Option<CampaignId>) -> Result<About, Problem> {
    let about = app.db.run(move |conn| {
        let campaign = id.map(|id| store::find(conn, id)).transpose()?;
        let lines = match id {
            Some(id) => crate::inbound::actions::lines(conn, id)?,
            None => Vec::new(),
        };
        let pinned: Vec<BotId> = lines.iter().filter_map(|it| Some(it.plan.bot?.bot)).collect();
        let others = channels::store::met_by_campaigns(conn)?;
        let others = others.into_iter().filter(|(_, (by, _))| Some(*by) != id).map(|(on, (_, name))| (on, name));
        QueryResult::Ok(About {
            campaign,
            lines,
            channels: channels::store::list(conn)?,
            bots: bots::store::sendable(conn, &pinned)?,
            others: others.collect(),
        })
    });
    let about = about.await?;
    match about.campaign.as_ref().map(|it| (it.kind, it.state)) {
        None => Ok(about),
        Some((CampaignKind::Inbound, CampaignState::Draft | CampaignState::Active | CampaignState::Paused)) => {
            Ok(about)
        }
        Some((CampaignKind::Inbound, _)) => {
            Err(Problem::Conflict("The campaign has ended. Duplicate it to start it again.".to_owned()))
        }
        Some(_) => Err(Problem::NotFound),
    }
}

#[derive(Template)]
#[template(path = "campaigns/inbound.html")]
struct Page<'a> {
    frame: Frame,
    about: &'a About,
    form: &'a InboundForm,
    errors: &'a FieldErrors,
    /// What has to be agreed to first.
    consequences: Vec<String>,
    seen: String,
}

impl Page<'_> {
    fn action(&self) -> String {
        match &self.about.campaign {
            Some(campaign) => format!("/campaigns/{}/inbound", campaign.id),
            None => "/campaigns/inbound/new".to_owned(),
        }
    }

    fn is_live(&self) -> bool {
        self.about.campaign.as_ref().is_some_and(|it| it.state != CampaignState::Draft)
    }

    fn back(&self) -> String {
        match &self.about.campaign {
            Some(campaign) => format!("/campaigns?open={}", campaign.id),
            None => "/campaigns".to_owned(),
        }
    }

    /// Who meets people on a channel now.
    fn other(&self, channel: &ChannelId) -> Option<&str> {
        self.about.others.iter().find(|(on, _)| on == channel).map(|(_, name)| name.as_str())
    }
}

#[get("/campaigns/inbound/new")]
async fn new_page(_may: May<Manage>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let about = about(&app, None).await?;
    let mut form = InboundForm {
        time_zone: app.settings.time_zone.name().to_owned(),
        validity: ValidityForm::of(crate::campaigns::inbound::Validity::DEFAULT),
        ..InboundForm::hours(&InboundPlan::default(), |time| time.to_string())
    };
    if let [only] = about.channels.as_slice() {
        form.channels.push(only.id);
    }
    let errors = FieldErrors::default();
    page(Page { frame, about: &about, form: &form, errors: &errors, consequences: Vec::new(), seen: String::new() })
}

#[get("/campaigns/{id}/inbound")]
async fn edit_page(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let about = about(&app, Some(*id)).await?;
    let Some(campaign) = &about.campaign else { return Err(Problem::NotFound) };
    let form = InboundForm::of(campaign, &about.lines);
    let errors = FieldErrors::default();
    page(Page { frame, about: &about, form: &form, errors: &errors, consequences: Vec::new(), seen: String::new() })
}

#[post("/campaigns/inbound/new")]
async fn start(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    save(&app, &may, frame, None, InboundForm::read(form.into_inner())).await
}

#[post("/campaigns/{id}/inbound")]
async fn change(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    save(&app, &may, frame, Some(*id), InboundForm::read(form.into_inner())).await
}

/// What came of saving.
enum Saved {
    Done(CampaignId),
    /// Somebody has to agree to this first.
    Asks(Consequences),
}

async fn save(
    app: &App,
    may: &May<Manage>,
    frame: Frame,
    id: Option<CampaignId>,
    form: InboundForm,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let about = about(app, id).await?;
    let again = |errors: FieldErrors, consequences: Vec<String>| {
        let seen = version_of(&consequences.join(" "));
        let page = Page { frame, about: &about, form: &form, errors: &errors, consequences, seen };
        page_with(StatusCode::UNPROCESSABLE_ENTITY, page)
    };
    let reception = match form.parse(&about) {
        Ok(reception) => reception,
        Err(errors) => return again(errors, Vec::new()),
    };
    let (agreed, seen) = (form.agreed, form.seen.clone());
    let saved = app.db.run(move |conn| {
        let consequences = crate::inbound::actions::consequences(conn, id, &reception.channels)?;
        let known = agreed && seen == version_of(&consequences.sentences().join(" "));
        if !consequences.is_empty() && !known {
            return Ok::<_, Error<Refused>>(Saved::Asks(consequences));
        }
        crate::inbound::actions::save(conn, id, &reception, by, now).map(Saved::Done)
    });
    match saved.await {
        Ok(Saved::Done(id)) => Ok(see_other(format!("/campaigns?open={id}#campaign-{id}"))),
        Ok(Saved::Asks(consequences)) => again(FieldErrors::default(), consequences.sentences()),
        Err(DbError::Work(Error::Refused(
            refused @ (Refused::Campaign(campaigns::Refused::NameTaken(_))
            | Refused::Draft(drafting::Refused::Campaign(campaigns::Refused::NameTaken(_)))),
        ))) => {
            let mut errors = FieldErrors::default();
            errors.add("name", refused.to_string());
            again(errors, Vec::new())
        }
        Err(DbError::Work(Error::Refused(refused @ Refused::Draft(drafting::Refused::BotArchived { .. })))) => {
            let mut errors = FieldErrors::default();
            errors.add("bot", refused.to_string());
            again(errors, Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}
