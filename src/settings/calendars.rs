//! store: When campaigns may not send: what the installation says and what they say themselves.

use std::collections::HashMap;

use chrono::NaiveTime;
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;

use super::domain::{Cap, Override, QuietChoice, effective};
use super::store;
use crate::db::Zone;
use crate::db::schema::{campaigns, settings};
use crate::ids::CampaignId;
use crate::pacing::{Calendar, Quiet};

pub fn of_campaign(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Calendar> {
    in_force(conn, id).map(|(calendar, _)| calendar)
}

/// Of a campaign in this zone that says this of its own.
pub fn of(conn: &mut PgConnection, zone: Tz, own: &Override) -> QueryResult<Calendar> {
    let (house, blackouts) = store::house_and_blackouts(conn)?;
    Ok(effective(&house, &blackouts, own, zone))
}

/// Its calendar, and the most messages that a contact may get, as they are now. One question: it is asked
/// at every claim.
pub fn in_force(conn: &mut PgConnection, id: CampaignId) -> QueryResult<(Calendar, Option<Cap>)> {
    let (Zone(zone), own, house): (Zone, OwnColumns, store::HouseRow) = campaigns::table
        .find(id)
        .inner_join(settings::table.on(settings::only))
        .select((campaigns::time_zone, OwnColumns::as_select(), store::house_row()))
        .first(conn)?;
    let (house, blackouts) = store::read_house(house);
    Ok((effective(&house, &blackouts, &own.read()?, zone), house.cap))
}

/// Of a campaign that does not exist yet and will say nothing of its own.
pub fn of_new(conn: &mut PgConnection, zone: Tz) -> QueryResult<Calendar> {
    of(conn, zone, &Override::default())
}

/// The calendars of these campaigns, with two questions however many they are.
pub fn of_campaigns(conn: &mut PgConnection, ids: &[CampaignId]) -> QueryResult<HashMap<CampaignId, Calendar>> {
    let rows: Vec<(CampaignId, Zone, OwnColumns)> = campaigns::table
        .filter(campaigns::id.eq_any(ids))
        .select((campaigns::id, campaigns::time_zone, OwnColumns::as_select()))
        .load(conn)?;
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let (house, blackouts) = store::house_and_blackouts(conn)?;
    rows.into_iter().map(|(id, Zone(zone), own)| Ok((id, effective(&house, &blackouts, &own.read()?, zone)))).collect()
}

/// What a campaign says of its own, as it is stored with it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(diesel::pg::Pg))]
pub struct OwnColumns {
    quiet: String,
    quiet_from: Option<NaiveTime>,
    quiet_to: Option<NaiveTime>,
    blackouts_apply: bool,
}

impl OwnColumns {
    pub fn read(&self) -> QueryResult<Override> {
        let own = self.quiet_from.zip(self.quiet_to).and_then(|(from, to)| Quiet::new(from, to).ok());
        match QuietChoice::of_word(&self.quiet, own) {
            Some(quiet) => Ok(Override { quiet, blackouts_apply: self.blackouts_apply }),
            None => Err(DeserializationError(format!("campaigns: not quiet hours: {self:?}").into())),
        }
    }
}
