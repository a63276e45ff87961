//! Launches what was sent off while its file was still being imported.

use crate::app::App;
use crate::campaigns::store;

/// Launches each draft whose file is through. Returns how many. One that cannot be
/// launched stays a draft and holds up no other.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    for campaign in app.db.run(store::launches_due).await? {
        let now = app.clock.now();
        match app.db.run(move |conn| crate::quick::actions::launch_due(conn, campaign, now)).await {
            Ok(launched) => n += usize::from(launched),
            Err(error) => {
                tracing::error!(campaign.id = %campaign, "campaign {campaign} could not be launched: {error}");
            }
        }
    }
    Ok(n)
}
