//! store: The rows of a run, written before it begins.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int2, Int4, Int8, Nullable, Text, Timestamptz};

use super::Outcome;
use crate::db::N;
use crate::db::schema::{campaign_lists, campaigns, files};
use crate::ids::{FileId, ListId, RunId, ScheduleId};
use crate::lists::store::AudienceTarget;
use crate::runs::Run;
use crate::{channels, lists};

/// The field names of a file, which are those that a text sent to it can name.
pub fn fields(conn: &mut PgConnection, file: FileId) -> QueryResult<Vec<String>> {
    let headers: serde_json::Value = files::table.find(file).select(files::headers).first(conn)?;
    Ok(serde_json::from_value(headers).unwrap_or_default())
}

/// Writes a delivery for each contact of the file. Returns how many.
pub fn prepare(conn: &mut PgConnection, run: RunId, file: FileId) -> QueryResult<usize> {
    diesel::sql_query(include_str!("prepare.sql")).bind::<Int8, _>(run).bind::<Int8, _>(file).execute(conn)
}

/// Writes a delivery for each contact of the file whose field `by` has one of these
/// values, numbered after `before`. Returns how many.
pub fn prepare_group(
    conn: &mut PgConnection,
    run: RunId,
    file: FileId,
    by: &str,
    values: &[String],
    before: i32,
) -> QueryResult<usize> {
    diesel::sql_query(include_str!("prepare_group.sql"))
        .bind::<Int8, _>(run)
        .bind::<Int8, _>(file)
        .bind::<Text, _>(by)
        .bind::<Array<Text>, _>(values)
        .bind::<Int4, _>(before)
        .execute(conn)
}

/// Writes a delivery that is not to be sent for each contact of the file whose field
/// `by` has none of these values. Returns how many.
pub fn prepare_unserved(
    conn: &mut PgConnection,
    run: RunId,
    file: FileId,
    by: &str,
    values: &[String],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query(include_str!("prepare_unserved.sql"))
        .bind::<Int8, _>(run)
        .bind::<Int8, _>(file)
        .bind::<Text, _>(by)
        .bind::<Array<Text>, _>(values)
        .bind::<Timestamptz, _>(now)
        .execute(conn)
}

/// Settles what a locked run has not sent as replaced and moves its cursor behind it.
/// Returns how many, and how many of them had been held.
pub fn replace_unsent(
    conn: &mut PgConnection,
    run: RunId,
    next_seq: i32,
    now: DateTime<Utc>,
) -> QueryResult<(i64, i64)> {
    #[derive(QueryableByName)]
    struct Replaced {
        #[diesel(sql_type = Int8)]
        n: i64,
        #[diesel(sql_type = Int8)]
        held: i64,
    }
    let replaced: Replaced = diesel::sql_query(include_str!("replace_unsent.sql"))
        .bind::<Int8, _>(run)
        .bind::<Int4, _>(next_seq)
        .bind::<Timestamptz, _>(now)
        .get_result(conn)?;
    Ok((replaced.n, replaced.held))
}

/// How many contacts a file has, of one group if one is named: a field and its values.
pub fn count_rows(conn: &mut PgConnection, file: FileId, group: Option<(&str, &[String])>) -> QueryResult<i64> {
    let (by, values) = group.unzip();
    diesel::sql_query(
        "SELECT count(*) AS n FROM file_rows WHERE file_id = $1 AND ($2 IS NULL OR \"values\" ->> $2 = ANY ($3))",
    )
    .bind::<Int8, _>(file)
    .bind::<Nullable<Text>, _>(by)
    .bind::<Nullable<Array<Text>>, _>(values)
    .get_result::<N>(conn)
    .map(|it| it.n)
}

/// Writes a delivery into a locked run for each contact of the file, of one group if one
/// is named, that neither it nor a run beside it has. Returns how many.
pub fn append(
    conn: &mut PgConnection,
    run: &Run,
    file: FileId,
    group: Option<(&str, &[String])>,
    beside: &[RunId],
) -> QueryResult<i64> {
    let (by, values) = group.unzip();
    let mut looked_at: Vec<i64> = beside.iter().map(|run| run.0).collect();
    looked_at.push(run.id.0);
    diesel::sql_query(include_str!("append.sql"))
        .bind::<Int8, _>(run.id)
        .bind::<Int8, _>(file)
        .bind::<Int4, _>(run.last_seq)
        .bind::<Nullable<Text>, _>(by)
        .bind::<Nullable<Array<Text>>, _>(values)
        .bind::<Array<Int8>, _>(looked_at)
        .execute(conn)
        .map(|n| n as i64)
}

/// Writes a delivery for each contact on the lists of the run's campaign: those frozen
/// at its launch, or whoever is on them now. Returns how many.
pub fn prepare_lists(conn: &mut PgConnection, run: &Run) -> QueryResult<usize> {
    let freeze: String = campaigns::table.find(run.campaign_id).select(campaigns::freeze).first(conn)?;
    if freeze == "launch" {
        return diesel::sql_query(include_str!("prepare_frozen.sql"))
            .bind::<Int8, _>(run.id)
            .bind::<Int8, _>(run.campaign_id)
            .execute(conn);
    }
    let lists: Vec<(i64, String)> = campaign_lists::table
        .filter(campaign_lists::campaign_id.eq(run.campaign_id))
        .select((campaign_lists::list_id, campaign_lists::role))
        .load(conn)?;
    let with =
        |role: &str| -> Vec<ListId> { lists.iter().filter(|(_, it)| it == role).map(|(id, _)| ListId(*id)).collect() };
    let (include, exclude) = (with("include"), with("exclude"));
    match lists::store::kind_of(conn, &include)? {
        Some(kind) => lists::store::insert_audience(conn, &include, &exclude, kind, AudienceTarget::Run(run.id)),
        None => Ok(0),
    }
}

/// Writes a delivery for each contact whom another schedule could not reach on the run's day. Returns how many.
pub fn prepare_unreached(conn: &mut PgConnection, run: &Run, before: ScheduleId) -> QueryResult<usize> {
    let unreached: Vec<i16> = Outcome::ALL.into_iter().filter(|it| it.is_unreached()).map(Outcome::code).collect();
    let kind = channels::store::find(conn, run.channel_id)?.kind;
    diesel::sql_query(include_str!("unreached_of_kind.sql"))
        .bind::<Int8, _>(run.id)
        .bind::<Int8, _>(before)
        .bind::<Array<Int2>, _>(&unreached)
        .bind::<Text, _>(kind.word())
        .execute(conn)?;
    diesel::sql_query(include_str!("unreached.sql"))
        .bind::<Int8, _>(run.id)
        .bind::<Int8, _>(before)
        .bind::<Array<Int2>, _>(&unreached)
        .bind::<Text, _>(kind.word())
        .execute(conn)
}

/// The names of the values that contacts of a run have.
pub fn fields_of_run(conn: &mut PgConnection, run: RunId) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Field {
        #[diesel(sql_type = Text)]
        field: String,
    }
    let rows: Vec<Field> = diesel::sql_query(
        "SELECT DISTINCT f.field FROM deliveries d CROSS JOIN jsonb_object_keys(d.\"values\") AS f (field)
         WHERE d.run_id = $1 ORDER BY 1",
    )
    .bind::<Int8, _>(run)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.field).collect())
}
