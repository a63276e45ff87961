//! Notices channels of which nothing is heard any more, though they should tell what became of messages.

use crate::app::App;
use crate::channels::silence;

/// Looks at each channel that has been silent for long. Returns how many it began to hold.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let (now, is_public) = (app.clock.now(), app.settings.public_url.is_some());
    let mut n = 0;
    for it in app.db.run(move |conn| silence::unheard(conn, now)).await? {
        if !it.tells(is_public) {
            continue;
        }
        let channel = it.id;
        let noted = app.db.run(move |conn| {
            let untold = silence::untold(conn, &it, now)?;
            if untold.are_enough() { silence::note(conn, &it, &untold, now) } else { Ok(false) }
        });
        if noted.await? {
            tracing::warn!(channel.id = %channel, "channel {channel} is held: nothing tells what becomes of messages");
            n += 1;
        }
    }
    Ok(n)
}
