//! When campaigns may not send: what the installation says and what they say themselves.

use std::collections::HashMap;

use chrono::NaiveTime;
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, NotFound};

use super::domain::{Override, QuietChoice, effective};
use super::store;
use crate::db::schema::campaigns;
use crate::ids::CampaignId;
use crate::pacing::{Calendar, Quiet};

pub fn of_campaign(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Calendar> {
    of_campaigns(conn, &[id.0])?.remove(&id).ok_or(NotFound)
}

/// Of a campaign that does not exist yet and will say nothing of its own.
pub fn of_new(conn: &mut PgConnection, zone: Tz) -> QueryResult<Calendar> {
    let own = Override { quiet: QuietChoice::Inherit, blackouts_apply: true };
    Ok(effective(&store::house(conn)?, &store::blackouts(conn)?, &own, zone))
}

/// The calendars of these campaigns, with three questions however many they are.
pub fn of_campaigns(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<HashMap<CampaignId, Calendar>> {
    let rows: Vec<Row> = campaigns::table.filter(campaigns::id.eq_any(ids)).select(Row::as_select()).load(conn)?;
    let (house, blackouts) = (store::house(conn)?, store::blackouts(conn)?);
    rows.into_iter()
        .map(|row| {
            let (own, zone) = row.read()?;
            Ok((CampaignId(row.id), effective(&house, &blackouts, &own, zone)))
        })
        .collect()
}

/// What a campaign says of its own.
pub fn own(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Override> {
    let row: Row = campaigns::table.find(id.0).select(Row::as_select()).first(conn)?;
    Ok(row.read()?.0)
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: i64,
    time_zone: String,
    quiet: String,
    quiet_from: Option<NaiveTime>,
    quiet_to: Option<NaiveTime>,
    blackouts_apply: bool,
}

impl Row {
    fn read(&self) -> QueryResult<(Override, Tz)> {
        let own = self.quiet_from.zip(self.quiet_to).and_then(|(from, to)| Quiet::new(from, to).ok());
        let (Some(quiet), Ok(zone)) = (QuietChoice::of_word(&self.quiet, own), self.time_zone.parse()) else {
            return Err(DeserializationError(format!("campaigns: not quiet hours: {self:?}").into()));
        };
        Ok((Override { quiet, blackouts_apply: self.blackouts_apply }, zone))
    }
}
