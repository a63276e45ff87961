use diesel::PgConnection;

use super::{Db, DbError};

impl Db {
    /// Like [`run`](Self::run), for work that only reads: all that it reads was so at one
    /// instant. Pages that show numbers beside one another ask for them here, or the numbers
    /// contradict each other while something is sent.
    pub async fn look<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError<E>>
    where
        T: Send + 'static,
        E: From<diesel::result::Error> + Send + 'static,
    {
        self.run(move |conn| conn.build_transaction().read_only().repeatable_read().run(work)).await
    }
}
