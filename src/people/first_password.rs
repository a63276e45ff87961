//! io: The password an installation begins with: written down in its data folder until it is
//! changed, and no longer.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use diesel::prelude::*;

use super::domain::is_password;
use super::store;
use crate::app::App;

/// The address of the person a fresh installation begins with.
pub const EMAIL: &str = "admin@bugle.example";

/// Writes it into a file that only this account can read.
pub fn keep(path: &Path, password: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(password.as_bytes())
}

/// The password while it still is the one to sign in with. Once it is not, its file goes.
pub fn recall(conn: &mut PgConnection, path: &Path) -> QueryResult<Option<String>> {
    let Ok(password) = fs::read_to_string(path) else { return Ok(None) };
    // Somebody who is disabled keeps their password, and may be enabled again.
    let Some((_, hash)) = store::credentials(conn, EMAIL)? else { return Ok(None) };
    if is_password(&password, Some(&hash)) {
        return Ok(Some(password));
    }
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!("{} holds a password of before and cannot be deleted: {error}", path.display());
    }
    Ok(None)
}

/// To be called when somebody's password was changed: it may have been this one.
pub async fn was_changed(app: &App) {
    let Some(path) = app.settings.first_password.clone().filter(|path| path.exists()) else { return };
    if let Err(error) = app.db.run(move |conn| recall(conn, &path)).await {
        tracing::warn!("the first password may still be written down: {error:#}");
    }
}
