//! Watches that the database still knows what it has confirmed, and keeps the mark.

use diesel::PgConnection;

use crate::app::App;
use crate::db::Error;
use crate::losses::actions::{Looked, Refused, look};

/// Holds what this process knows against the database, learns what others did, and writes
/// the mark. Returns whether everything was there.
///
/// Whoever starts calls it once before anything is claimed.
pub async fn tick(app: &App) -> anyhow::Result<bool> {
    let (marks, now) = (app.marks.clone(), app.clock.now());
    let whole = app
        .db
        .run(move |conn| {
            Ok::<_, Error<Refused>>(match look(conn, &marks.known(), now)? {
                Looked::Whole(present) => {
                    marks.learn(present);
                    true
                }
                Looked::Lost(present) => {
                    marks.believe(present);
                    false
                }
            })
        })
        .await?;
    let marks = app.marks.clone();
    // It waits for a disk.
    if let Err(error) = tokio::task::spawn_blocking(move || marks.write()).await? {
        tracing::error!("the mark could not be written: {error}");
    }
    Ok(whole)
}

/// Claims with `claim`, if the database that this connection leads to still knows what this
/// process has claimed before. Where it does not, everything is held from now on.
pub fn claim<T: Default>(
    app: &App,
    conn: &mut PgConnection,
    claim: impl FnOnce(&mut PgConnection) -> diesel::QueryResult<T>,
) -> Result<T, Error<Refused>> {
    if app.marks.stand(conn)? {
        return Ok(claim(conn)?);
    }
    match look(conn, &app.marks.known(), app.clock.now())? {
        Looked::Whole(present) => app.marks.learn(present),
        Looked::Lost(present) => app.marks.believe(present),
    }
    Ok(T::default())
}
