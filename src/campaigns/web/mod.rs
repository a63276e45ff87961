//! The pages of campaigns.

mod drafting;

use actix_web::web::ServiceConfig;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(drafting::routes);
}
