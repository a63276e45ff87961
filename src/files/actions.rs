use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{File, Mapping, Unchanged};
use super::store;
use crate::ids::FileId;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Unchanged(#[from] Unchanged),
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
}

/// Sends a file to be imported; a tick takes it up.
pub fn import(conn: &mut PgConnection, id: FileId, mapping: Mapping, region: String) -> Result<File, Error> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        file.import(mapping, region)?;
        store::save(conn, &file)?;
        Ok(file)
    })
}

pub fn cancel(conn: &mut PgConnection, id: FileId, now: DateTime<Utc>) -> Result<File, Error> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        file.cancel(now)?;
        store::save(conn, &file)?;
        Ok(file)
    })
}
