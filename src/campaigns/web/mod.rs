//! The Campaigns screen.

mod bot_choice;
mod controls;
mod drafting;
mod inbound;
mod index;
mod panels;
mod quick;
mod stop;
mod validity;

use actix_web::web::ServiceConfig;

pub use panels::{CampaignProgress, Progress, ScheduleProgress};

use super::actions;
use crate::schedules;
use crate::web::Problem;

pub fn routes(pages: &mut ServiceConfig) {
    // Words before `{id}`, which would take them for one.
    pages
        .configure(bot_choice::routes)
        .configure(quick::routes)
        .configure(inbound::routes)
        .configure(validity::routes)
        .configure(drafting::routes)
        .service(super::live::live)
        .configure(index::routes)
        .configure(stop::routes)
        .configure(controls::routes);
}

impl From<actions::Error> for Problem {
    fn from(error: actions::Error) -> Self {
        match error {
            actions::Error::Refused(refused) => Problem::Conflict(refused.to_string()),
            actions::Error::Database(error) => error.into(),
        }
    }
}

impl From<schedules::actions::Error> for Problem {
    fn from(error: schedules::actions::Error) -> Self {
        match error {
            schedules::actions::Error::Refused(refused) => Problem::Conflict(refused.to_string()),
            schedules::actions::Error::Database(error) => error.into(),
        }
    }
}
