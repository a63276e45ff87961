//! The list of conversations, and one of them.

mod places;
mod list;
mod thread;

use actix_web::web::ServiceConfig;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(list::routes).configure(thread::routes);
}
