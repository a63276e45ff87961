//! io: Waiting until nothing can begin to leave any more to people who opted out or were blocked.
//!
//! Every claim asks for consent once it has committed. So when an opt-out or a block has
//! committed, only what was claimed before can still begin, and it stands on the wire for
//! everybody to see. Whoever answers that it is so, or shows it, waits for that first.

use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use super::store::{self, Whom};
use crate::app::App;
use crate::providers::BEGIN_WITHIN;

/// Longer than a claimed send may take to begin: what is on the wire after it has begun.
const WAIT: Duration = Duration::from_millis(BEGIN_WITHIN.as_millis() as u64 + 200);

/// Waits, after an opt-out or a block has committed, until nothing to these contacts can begin.
///
/// It returns at once when nothing to them is on the wire, and holds no connection while it
/// waits. Where the database does not say, it waits as long as anything claimed may take to begin.
pub async fn wait(app: &App, whom: Whom) {
    if matches!(&whom, Whom::Contacts(ids) if ids.is_empty()) {
        return;
    }
    let (until, now) = (Instant::now() + WAIT, app.clock.now());
    let (mut whom, mut nap) = (whom, Duration::from_millis(2));
    while Instant::now() < until {
        match app.db.run(move |conn| store::on_the_wire(conn, &whom, now)).await {
            Ok(left) if left.is_empty() => return,
            Ok(left) => whom = Whom::Contacts(left),
            Err(error) => {
                tracing::warn!("cannot see what is on the wire, and so waits until nothing can begin: {error}");
                sleep_until(until.into()).await;
                return;
            }
        }
        sleep(nap).await;
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}
