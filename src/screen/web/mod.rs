//! The Campaigns screen.

pub mod controls;
pub mod index;
pub mod panels;
pub mod plans;
pub mod progress;
pub mod stop;
pub mod validity;

use actix_web::web::ServiceConfig;

pub fn routes(pages: &mut ServiceConfig) {
    // Words before `{id}`, which would take them for one.
    pages
        .configure(validity::routes)
        .service(super::live::live)
        .configure(index::routes)
        .configure(stop::routes)
        .configure(controls::routes);
}
