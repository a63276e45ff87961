//! io: What the adapter writes down, and that it did.

use std::sync::Arc;

use async_trait::async_trait;

use super::{actions, lobby};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::providers::webchat::{ChatBooks, ChatMessage, NotEntered};

struct PostgresBooks {
    db: Db,
    clock: Clock,
}

#[async_trait]
impl ChatBooks for PostgresBooks {
    async fn enter(&self, message: ChatMessage) -> Result<(), NotEntered> {
        let now = self.clock.now();
        let entered = self.db.run(move |conn| actions::enter(conn, &message, now)).await;
        match entered {
            Ok(true) => {
                lobby::NEWS.notify_one();
                Ok(())
            }
            Ok(false) => Err(NotEntered::Nobody),
            Err(error @ DbError::Busy) => Err(NotEntered::NotNow(error.to_string())),
            // It may be lost before or after it was committed.
            Err(error) => Err(NotEntered::Unknown(error.to_string())),
        }
    }
}

/// Where this installation keeps what its widgets show.
pub fn books(db: &Db, clock: &Clock) -> Arc<dyn ChatBooks> {
    Arc::new(PostgresBooks { db: db.clone(), clock: clock.clone() })
}
