//! Queries over contacts.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::channels::Kind;

/// Makes a contact of every address in the temporary table `import_rows` that
/// is not one yet. Returns how many are new.
///
/// Addresses are taken in order: two imports that share addresses then wait for
/// one another instead of for each other.
pub fn add_imported(conn: &mut PgConnection, kind: Kind) -> QueryResult<usize> {
    diesel::sql_query(
        "INSERT INTO contacts (kind, address)
         SELECT $1, address FROM import_rows GROUP BY address ORDER BY address COLLATE \"C\"
         ON CONFLICT (kind, address) DO NOTHING",
    )
    .bind::<Text, _>(kind.word())
    .execute(conn)
}
