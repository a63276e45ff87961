use std::collections::{HashMap, HashSet};
use std::io::Write;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::exists;
use diesel::pg::{CopyFormat, Pg};
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::domain::{File, FileCounts, FileEncoding, Format, RowProblem, State, TableHead, Use};
use crate::contacts;
use crate::contacts::addresses::{TWO_WAYS, TwoWays};
use crate::db::locks::{self, Lock};
use crate::db::schema::{file_chunks, file_problems, file_rows, files, users};
use crate::ids::{CampaignId, FileId, UserId};
use crate::providers::Kind;

/// Uploads are kept in pieces of this size.
pub const CHUNK: usize = 1 << 20;

/// An upload as it is first written down.
pub struct Upload<'a> {
    pub name: &'a str,
    pub size_bytes: i64,
    pub sha256: &'a [u8],
    pub kind: Kind,
    pub head: &'a TableHead,
}

pub fn insert(conn: &mut PgConnection, upload: &Upload<'_>, by: UserId, now: DateTime<Utc>) -> QueryResult<FileId> {
    let head = upload.head;
    diesel::insert_into(files::table)
        .values((
            files::name.eq(upload.name),
            files::size_bytes.eq(upload.size_bytes),
            files::sha256.eq(upload.sha256),
            files::kind.eq(upload.kind),
            files::format.eq(head.format),
            files::reading.eq(Reading::of(head)),
            files::headers.eq(serde_json::json!(head.headers)),
            files::sample.eq(serde_json::json!(head.sample)),
            files::uploaded_by.eq(by),
            files::uploaded_at.eq(now),
        ))
        .returning(files::id)
        .get_result(conn)
        .map(FileId)
}

pub fn insert_chunk(conn: &mut PgConnection, id: FileId, n: i32, bytes: &[u8]) -> QueryResult<()> {
    diesel::insert_into(file_chunks::table)
        .values((file_chunks::file_id.eq(id), file_chunks::n.eq(n), file_chunks::bytes.eq(bytes)))
        .execute(conn)
        .map(drop)
}

/// Piece `n` of the upload, from 0; `None` after the last.
pub fn chunk(conn: &mut PgConnection, id: FileId, n: i32) -> QueryResult<Option<Vec<u8>>> {
    file_chunks::table.find((id, n)).select(file_chunks::bytes).first(conn).optional()
}

pub fn find(conn: &mut PgConnection, id: FileId) -> QueryResult<File> {
    files::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: FileId) -> QueryResult<File> {
    locks::take(Lock::File);
    files::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// Writes what people decide about a file. What the importer counts is its own.
pub fn save(conn: &mut PgConnection, file: &File) -> QueryResult<()> {
    let (cancelling, refusal, finished_at) = match &file.state {
        State::Received => (false, None, None),
        State::Importing { cancelling } => (*cancelling, None, None),
        State::Imported { at } | State::Cancelled { at } => (false, None, Some(*at)),
        State::Refused { at, why } => (false, Some(why.as_str()), Some(*at)),
    };
    diesel::update(files::table.find(file.id))
        .set((
            files::state.eq(file.state.word()),
            files::mapping.eq(file.mapping.as_ref().map(|mapping| serde_json::json!(mapping))),
            files::region.eq(&file.region),
            files::two_ways.eq(file.two_ways),
            files::cancelling.eq(cancelling),
            files::refusal.eq(refusal),
            files::finished_at.eq(finished_at),
            // What is ordered anew is tried anew.
            files::tries.eq(0),
        ))
        .execute(conn)
        .map(drop)
}

/// Forgets what was counted of a file that is to be imported once more.
pub fn forget_counts(conn: &mut PgConnection, id: FileId) -> QueryResult<()> {
    diesel::update(files::table.find(id))
        .set((
            files::bytes_done.eq(0),
            files::rows_done.eq(0),
            files::rows_good.eq(0),
            files::rows_bad.eq(0),
            files::rows_duplicate.eq(0),
            files::rows_two_ways.eq(0),
            files::missing.eq(serde_json::json!({})),
        ))
        .execute(conn)
        .map(drop)
}

/// Writes down how a file is read from now on. What its columns are has to be said anew.
pub fn save_head(conn: &mut PgConnection, id: FileId, head: &TableHead) -> QueryResult<()> {
    diesel::update(files::table.find(id))
        .set((
            files::reading.eq(Reading::of(head)),
            files::headers.eq(serde_json::json!(head.headers)),
            files::sample.eq(serde_json::json!(head.sample)),
            files::mapping.eq(None::<serde_json::Value>),
        ))
        .execute(conn)
        .map(drop)
}

/// Forgets a file that came to nothing, its pieces with it.
pub fn delete(conn: &mut PgConnection, id: FileId) -> QueryResult<()> {
    diesel::delete(files::table.find(id)).execute(conn).map(drop)
}

/// A file uploaded before then that nothing refers to and that is not being imported, locked.
/// Passes over those that somebody is about to refer to.
pub fn lock_unused(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<Option<File>> {
    locks::skip(Lock::File);
    use crate::db::schema::{campaigns, drops, schedule_runs};
    use diesel::dsl::{exists, not};
    let id = files::id.nullable();
    files::table
        .filter(files::uploaded_at.le(before))
        .filter(files::state.ne("importing"))
        .filter(not(exists(campaigns::table.filter(campaigns::file_id.eq(id)))))
        .filter(not(exists(schedule_runs::table.filter(schedule_runs::file_id.eq(id)))))
        .filter(not(exists(drops::table.filter(drops::file_id.eq(id)))))
        .order(files::id)
        .select(Row::as_select())
        .for_update()
        .skip_locked()
        .first(conn)
        .optional()?
        .map(TryInto::try_into)
        .transpose()
}

/// Which of these something refers to.
pub fn used(conn: &mut PgConnection, ids: &[FileId]) -> QueryResult<HashSet<FileId>> {
    #[derive(QueryableByName)]
    struct Used {
        #[diesel(sql_type = BigInt)]
        id: FileId,
    }
    let used: Vec<Used> = diesel::sql_query(include_str!("used.sql")).bind::<Array<BigInt>, _>(ids).load(conn)?;
    Ok(used.into_iter().map(|used| used.id).collect())
}

/// Whether somebody of it was sent to, or is about to be: a run, a day's drop or a campaign that was launched
/// refers to it.
pub fn is_sent_to(conn: &mut PgConnection, id: FileId) -> QueryResult<bool> {
    use crate::db::schema::{campaigns, drops, schedule_runs};
    let file = Some(id.0);
    let launched = campaigns::table.filter(campaigns::file_id.eq(file)).filter(campaigns::state.ne("draft"));
    let run = schedule_runs::table.filter(schedule_runs::file_id.eq(file));
    let dropped = drops::table.filter(drops::file_id.eq(file));
    diesel::select(exists(launched).or(exists(run)).or(exists(dropped))).get_result(conn)
}

/// Keeps a file from being read anew until this transaction ends.
pub fn hold(conn: &mut PgConnection, id: FileId) -> QueryResult<()> {
    locks::take(Lock::File);
    files::table.find(id).select(files::id).for_share().first::<i64>(conn).map(drop)
}

/// The first texts of a file that could be read in two ways and were left out.
pub fn left_doubtful(conn: &mut PgConnection, id: FileId, n: i64) -> QueryResult<Vec<String>> {
    file_problems::table
        .filter(file_problems::file_id.eq(id))
        .filter(file_problems::code.eq(TWO_WAYS))
        .order(file_problems::line)
        .limit(n)
        .select(file_problems::value.assume_not_null())
        .load(conn)
}

/// A file in the list of them.
pub struct Kept {
    pub file: File,
    /// The name of that person.
    pub uploaded_by: Option<String>,
    /// Campaigns that it was given to, whose runs went through it, or that it was dropped on.
    pub used_by: Vec<(CampaignId, String)>,
}

impl Kept {
    /// Whether it can be deleted.
    pub fn may_go(&self) -> bool {
        self.used_by.is_empty() && !matches!(self.file.state, State::Importing { .. })
    }
}

/// Up to `n` files older than `before`, the newest first.
pub fn page(conn: &mut PgConnection, before: Option<FileId>, n: i64) -> QueryResult<Vec<Kept>> {
    let rows: Vec<(Row, Option<String>)> = files::table
        .left_join(users::table)
        .filter(files::id.lt(before.map_or(i64::MAX, |id| id.0)))
        .order(files::id.desc())
        .limit(n)
        .select((Row::as_select(), users::name.nullable()))
        .load(conn)?;
    let ids: Vec<FileId> = rows.iter().map(|(row, _)| row.id).collect();
    let mut users = users_of(conn, &ids)?;
    let kept = |(row, uploaded_by): (Row, Option<String>)| {
        let used_by = users.remove(&row.id).unwrap_or_default();
        Ok(Kept { file: row.try_into()?, uploaded_by, used_by })
    };
    rows.into_iter().map(kept).collect()
}

/// The campaigns of whatever refers to these files, each once, by name.
fn users_of(conn: &mut PgConnection, ids: &[FileId]) -> QueryResult<HashMap<FileId, Vec<(CampaignId, String)>>> {
    #[derive(QueryableByName)]
    struct UsedBy {
        #[diesel(sql_type = BigInt)]
        file_id: FileId,
        #[diesel(sql_type = BigInt)]
        campaign_id: CampaignId,
        #[diesel(sql_type = Text)]
        name: String,
    }
    let rows: Vec<UsedBy> = diesel::sql_query(include_str!("used_by.sql")).bind::<Array<BigInt>, _>(ids).load(conn)?;
    let mut users: HashMap<FileId, Vec<(CampaignId, String)>> = HashMap::new();
    for row in rows {
        users.entry(row.file_id).or_default().push((row.campaign_id, row.name));
    }
    Ok(users)
}

/// The country chosen for the file imported last by this person.
pub fn last_region(conn: &mut PgConnection, by: UserId) -> QueryResult<Option<String>> {
    files::table
        .filter(files::uploaded_by.eq(by))
        .filter(files::region.ne(""))
        .order(files::id.desc())
        .select(files::region.assume_not_null())
        .first(conn)
        .optional()
}

/// One line of the list of problems.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = file_problems, check_for_backend(Pg))]
pub struct Listed {
    pub line: i64,
    pub field: Option<String>,
    pub value: Option<String>,
    pub code: String,
    pub says: String,
}

/// Up to `n` problems of rows below row `after`, in file order.
pub fn problems(conn: &mut PgConnection, id: FileId, after: i64, n: i64) -> QueryResult<Vec<Listed>> {
    file_problems::table
        .filter(file_problems::file_id.eq(id))
        .filter(file_problems::line.gt(after))
        .order(file_problems::line)
        .limit(n)
        .select(Listed::as_select())
        .load(conn)
}

/// One row of the audience.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = file_rows, check_for_backend(Pg))]
pub struct Taken {
    pub seq: i32,
    pub line: i64,
    pub address: String,
    pub customer_id: Option<String>,
    pub values: serde_json::Value,
}

/// The first `n` rows that were taken.
pub fn first_rows(conn: &mut PgConnection, id: FileId, n: i32) -> QueryResult<Vec<Taken>> {
    file_rows::table
        .filter(file_rows::file_id.eq(id))
        .filter(file_rows::seq.le(n))
        .order(file_rows::seq)
        .select(Taken::as_select())
        .load(conn)
}

/// The `n`th row that was taken.
pub fn row(conn: &mut PgConnection, id: FileId, n: i32) -> QueryResult<Option<Taken>> {
    file_rows::table
        .filter(file_rows::file_id.eq(id))
        .filter(file_rows::seq.eq(n))
        .select(Taken::as_select())
        .first(conn)
        .optional()
}

/// The `n` rows that follow the first `after` of those whose field has one of these values.
pub fn rows_with(
    conn: &mut PgConnection,
    id: FileId,
    field: &str,
    values: &[String],
    after: i64,
    n: i64,
) -> QueryResult<Vec<Taken>> {
    use diesel::dsl::sql;
    use diesel::sql_types::Bool;
    file_rows::table
        .filter(file_rows::file_id.eq(id))
        .filter(
            sql::<Bool>("\"values\" ->> ")
                .bind::<Text, _>(field)
                .sql(" = ANY (")
                .bind::<Array<Text>, _>(values)
                .sql(")"),
        )
        .order(file_rows::seq)
        .offset(after)
        .limit(n)
        .select(Taken::as_select())
        .load(conn)
}

/// The different values of a field in a file as they are spelt, `None` for rows with
/// nothing there, each with the number of rows; the commonest first.
pub fn groups(conn: &mut PgConnection, id: FileId, field: &str) -> QueryResult<Vec<(Option<String>, i64)>> {
    #[derive(QueryableByName)]
    struct Group {
        #[diesel(sql_type = Nullable<Text>)]
        value: Option<String>,
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let groups: Vec<Group> = diesel::sql_query(
        "SELECT \"values\" ->> $2 AS value, count(*) AS n FROM file_rows WHERE file_id = $1 GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    .bind::<BigInt, _>(id)
    .bind::<Text, _>(field)
    .load(conn)?;
    Ok(groups.into_iter().map(|group| (group.value, group.n)).collect())
}

/// Values of a column as they are spelt, `None` for nothing there, each with its rows.
pub type Counted = Vec<(Option<String>, i64)>;

/// Different values of a column at most that may be groups.
pub const MOST_GROUPS: usize = 1000;

/// Like [`groups`] of an imported file, but counted once for ever; `None` when there
/// are more than [`MOST_GROUPS`].
pub fn counted_groups(conn: &mut PgConnection, id: FileId, field: &str) -> QueryResult<Option<Counted>> {
    use crate::db::schema::file_groups;
    let unreadable = |error: serde_json::Error| DeserializationError(error.into());
    let known = file_groups::table.find((id, field)).select(file_groups::counts).first(conn).optional()?;
    if let Some(counts) = known {
        return serde_json::from_value(counts).map_err(unreadable);
    }
    let counted = Some(groups(conn, id, field)?).filter(|groups| groups.len() <= MOST_GROUPS);
    diesel::insert_into(file_groups::table)
        .values((
            file_groups::file_id.eq(id),
            file_groups::field.eq(field),
            file_groups::counts.eq(serde_json::json!(counted)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(counted)
}

/// The right to import a file until a lease ends.
#[derive(Clone, Debug)]
pub struct ImportClaim {
    pub file: File,
    pub worker: Uuid,
    /// The how-manieth claim it is since the import was ordered.
    pub tries: i16,
}

/// Takes the oldest file that waits to be imported, or whose importer has not
/// been heard of since its lease ended. Its counts start over.
pub fn claim(
    conn: &mut PgConnection,
    worker: Uuid,
    lease_ends_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Option<ImportClaim>> {
    locks::skip(Lock::File);
    conn.transaction(|conn| {
        let waiting = files::table
            .filter(files::state.eq("importing"))
            .filter(files::lease_ends_at.is_null().or(files::lease_ends_at.assume_not_null().le(now)))
            .order(files::id)
            .select(files::id)
            .for_no_key_update()
            .skip_locked()
            .first::<i64>(conn)
            .optional()?;
        waiting.map(|id| begin(conn, FileId(id), worker, lease_ends_at)).transpose()
    })
}

/// Takes a file that was sent to be imported in this very transaction, so that nobody else has it yet.
pub fn begin(
    conn: &mut PgConnection,
    id: FileId,
    worker: Uuid,
    lease_ends_at: DateTime<Utc>,
) -> QueryResult<ImportClaim> {
    let (row, tries): (Row, i16) = diesel::update(files::table.find(id))
        .set((
            files::tries.eq(files::tries + 1),
            files::worker.eq(worker),
            files::lease_ends_at.eq(lease_ends_at),
            files::bytes_done.eq(0),
            files::rows_done.eq(0),
            files::rows_good.eq(0),
            files::rows_bad.eq(0),
            files::rows_duplicate.eq(0),
            files::rows_two_ways.eq(0),
            files::missing.eq(serde_json::json!({})),
        ))
        .returning((Row::as_returning(), files::tries))
        .get_result(conn)?;
    Ok(ImportClaim { file: row.try_into()?, worker, tries })
}

/// Takes a try back: what ended it was not the file. The lease stays, so that it is not begun again at once.
pub fn uncount(conn: &mut PgConnection, claim: &ImportClaim) -> QueryResult<()> {
    diesel::update(held(claim)).set(files::tries.eq(files::tries - 1)).execute(conn).map(drop)
}

/// What an importer learns when it tells how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeardImporter {
    GoOn,
    /// Somebody wants it to stop.
    Cancel,
    /// Its lease ended and another took the file, or the file is done.
    Lost,
}

/// Tells how far an import is and keeps it for longer.
pub fn pulse(
    conn: &mut PgConnection,
    claim: &ImportClaim,
    counts: &FileCounts,
    lease_ends_at: DateTime<Utc>,
) -> QueryResult<HeardImporter> {
    let cancelling: Option<bool> = diesel::update(held(claim))
        .set((
            files::lease_ends_at.eq(lease_ends_at),
            files::bytes_done.eq(counts.bytes_done),
            files::rows_done.eq(counts.done),
            files::rows_good.eq(counts.good),
            files::rows_bad.eq(counts.bad),
        ))
        .returning(files::cancelling)
        .get_result(conn)
        .optional()?;
    Ok(match cancelling {
        Some(false) => HeardImporter::GoOn,
        Some(true) => HeardImporter::Cancel,
        None => HeardImporter::Lost,
    })
}

#[diesel::dsl::auto_type(no_type_alias)]
fn held(claim: &ImportClaim) -> _ {
    let (id, worker): (i64, Uuid) = (claim.file.id.0, claim.worker);
    files::table.filter(files::id.eq(id)).filter(files::worker.eq(worker)).filter(files::state.eq("importing"))
}

/// Ends an import without a result. Returns whether the claim still held.
pub fn give_up(
    conn: &mut PgConnection,
    claim: &ImportClaim,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let state = if why.is_some() { "refused" } else { "cancelled" };
    let n_rows = diesel::update(held(claim))
        .set((
            files::state.eq(state),
            files::refusal.eq(why),
            files::cancelling.eq(false),
            files::bytes_done.eq(0),
            files::rows_done.eq(0),
            files::rows_good.eq(0),
            files::rows_bad.eq(0),
            files::finished_at.eq(now),
            files::worker.eq(None::<Uuid>),
            files::lease_ends_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    Ok(n_rows == 1)
}

/// Makes the tables that an import collects its rows in. They belong to the
/// connection and go with it: what a dead importer left is nowhere.
pub fn open_staging(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(
        "CREATE TEMP TABLE import_rows (
             seq         integer NOT NULL,
             line        bigint  NOT NULL,
             address     text    NOT NULL,
             customer_id text,
             \"values\"  jsonb   NOT NULL
         );
         CREATE TEMP TABLE import_problems (
             line  bigint NOT NULL,
             field text,
             value text,
             code  text   NOT NULL,
             says  text   NOT NULL
         )",
    )
}

diesel::table! {
    import_rows (seq) {
        seq -> Int4,
        line -> Int8,
        address -> Text,
        customer_id -> Nullable<Text>,
        values -> Jsonb,
    }
}

diesel::table! {
    import_problems (line) {
        line -> Int8,
        field -> Nullable<Text>,
        value -> Nullable<Text>,
        code -> Text,
        says -> Text,
    }
}

/// Rows in the binary form that COPY takes, ready to be sent.
pub struct Pack(Vec<u8>);

impl Default for Pack {
    fn default() -> Self {
        Pack(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec())
    }
}

impl Pack {
    /// Adds a row for `import_rows`. `values`: a JSON object.
    pub fn add_row(&mut self, seq: i32, line: i64, address: &str, customer_id: Option<&str>, values: &[u8]) {
        self.begin(5);
        self.field(&seq.to_be_bytes());
        self.field(&line.to_be_bytes());
        self.field(address.as_bytes());
        self.optional(customer_id);
        // jsonb travels as its version, 1, and its text.
        self.0.extend((values.len() as i32 + 1).to_be_bytes());
        self.0.push(1);
        self.0.extend_from_slice(values);
    }

    /// Adds a row for `import_problems`.
    pub fn add_problem(&mut self, line: i64, problem: &RowProblem) {
        self.begin(5);
        self.field(&line.to_be_bytes());
        self.optional(problem.field.as_deref());
        self.optional(problem.value.as_deref());
        self.field(problem.code.as_bytes());
        self.field(problem.says.as_bytes());
    }

    pub fn size(&self) -> usize {
        self.0.len()
    }

    fn begin(&mut self, n_fields: i16) {
        self.0.extend(n_fields.to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.field(text.as_bytes()),
            None => self.0.extend((-1_i32).to_be_bytes()),
        }
    }

    fn write_to(&self, out: &mut dyn Write) -> QueryResult<()> {
        let end = (-1_i16).to_be_bytes();
        out.write_all(&self.0).and_then(|()| out.write_all(&end)).map_err(|error| SerializationError(Box::new(error)))
    }
}

/// Copies packed rows into the staging tables.
pub fn stage(conn: &mut PgConnection, rows: &Pack, problems: &Pack) -> QueryResult<()> {
    use diesel::ExecuteCopyFromDsl as _;

    let nothing = Pack::default().size();
    if rows.size() > nothing {
        diesel::copy_from(import_rows::table)
            .from_raw_data(import_rows::all_columns, |out: &mut dyn Write| rows.write_to(out))
            .with_format(CopyFormat::Binary)
            .execute(conn)?;
    }
    if problems.size() > nothing {
        diesel::copy_from(import_problems::table)
            .from_raw_data(import_problems::all_columns, |out: &mut dyn Write| problems.write_to(out))
            .with_format(CopyFormat::Binary)
            .execute(conn)?;
    }
    Ok(())
}

/// Finds the rows whose address an earlier row has, and lists up to `n_listed` of them as
/// problems of the column `field`. Returns how many there are.
pub fn set_repeats_apart(conn: &mut PgConnection, field: &str, n_listed: i64) -> QueryResult<i64> {
    // Sorting and hashing a million rows is this transaction's whole work.
    conn.batch_execute("SET LOCAL work_mem = '96MB'; ANALYZE import_rows")?;
    conn.batch_execute(include_str!("repeats.sql"))?;
    diesel::sql_query(
        "INSERT INTO import_problems (line, field, value, code, says)
         SELECT line, $1, address, 'duplicate',
                'Row ' || first_line || ' has the same ' || $1 || '. That row is used, this one is not.'
         FROM import_repeats
         ORDER BY line LIMIT $2",
    )
    .bind::<Text, _>(field)
    .bind::<BigInt, _>(n_listed)
    .execute(conn)?;
    diesel::select(diesel::dsl::sql::<BigInt>("(SELECT count(*) FROM import_repeats)")).get_result(conn)
}

/// How many of the repeated rows have nothing in each of `fields`.
pub fn missing_in_repeats(conn: &mut PgConnection, fields: &[&str]) -> QueryResult<Vec<(String, i64)>> {
    #[derive(QueryableByName)]
    struct Missing {
        #[diesel(sql_type = Text)]
        field: String,
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let missing: Vec<Missing> = diesel::sql_query(
        "SELECT field, count(*) AS n
         FROM import_repeats JOIN import_rows USING (seq) CROSS JOIN unnest($1) AS field
         WHERE NOT jsonb_exists(\"values\", field)
         GROUP BY field",
    )
    .bind::<Array<Text>, _>(fields)
    .load(conn)?;
    Ok(missing.into_iter().map(|row| (row.field, row.n)).collect())
}

/// Makes the staged rows the file's audience, numbered in file order from 1
/// without gaps, and the staged problems its list of problems. `n_good`: rows
/// without those that repeat another.
pub fn publish(conn: &mut PgConnection, file: &File, n_good: i64, n_repeats: i64) -> QueryResult<i64> {
    forget_rows(conn, file.id)?;
    let columns = file.mapping.iter().flat_map(|mapping| mapping.columns.iter().zip(&file.head.headers));
    let kept = columns.filter(|(column, _)| matches!(column, Use::Data { .. } | Use::CustomerId));
    let fields: Vec<&str> = kept.map(|(_, header)| header.as_str()).collect();
    contacts::store::take_imported(conn, file.kind, n_good, &fields)?;
    // Without repeats the rows are numbered already, and sorting them is saved.
    let sql = match n_repeats {
        0 => include_str!("publish_as_staged.sql"),
        _ => include_str!("publish_renumbered.sql"),
    };
    let n_rows = diesel::sql_query(sql).bind::<BigInt, _>(file.id).bind::<Text, _>(file.kind.word()).execute(conn)?;
    diesel::sql_query(
        "INSERT INTO file_problems (file_id, line, field, value, code, says)
         SELECT $1, line, field, value, code, says FROM import_problems ORDER BY line",
    )
    .bind::<BigInt, _>(file.id)
    .execute(conn)?;
    Ok(n_rows as i64)
}

/// Forgets what an earlier import of the file has stored.
fn forget_rows(conn: &mut PgConnection, id: FileId) -> QueryResult<()> {
    use crate::db::schema::file_groups;
    diesel::delete(file_rows::table.filter(file_rows::file_id.eq(id))).execute(conn)?;
    diesel::delete(file_problems::table.filter(file_problems::file_id.eq(id))).execute(conn)?;
    diesel::delete(file_groups::table.filter(file_groups::file_id.eq(id))).execute(conn).map(drop)
}

/// The import's last word: the audience stands, if the claim still holds and
/// nobody wants it cancelled. Returns whether it does; if not, roll back.
pub fn finish(
    conn: &mut PgConnection,
    claim: &ImportClaim,
    counts: &FileCounts,
    missing: &serde_json::Value,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let n_rows = diesel::update(held(claim).filter(files::cancelling.eq(false)))
        .set((
            files::state.eq("imported"),
            files::finished_at.eq(now),
            files::bytes_done.eq(counts.bytes_done),
            files::rows_done.eq(counts.done),
            files::rows_good.eq(counts.good),
            files::rows_bad.eq(counts.bad),
            files::rows_duplicate.eq(counts.duplicate),
            files::rows_two_ways.eq(counts.two_ways),
            files::missing.eq(missing),
            files::tries.eq(0),
            files::worker.eq(None::<Uuid>),
            files::lease_ends_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    Ok(n_rows == 1)
}

/// Whether an import should not go on: cancelled, or no longer its worker's.
pub fn is_unwanted(conn: &mut PgConnection, claim: &ImportClaim) -> QueryResult<bool> {
    let wanted: bool = diesel::select(exists(held(claim).filter(files::cancelling.eq(false)))).get_result(conn)?;
    Ok(!wanted)
}

/// A row as stored. It can hold combinations that no file can be in; turning it
/// into a [`File`] is where they are caught.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = files, check_for_backend(Pg))]
struct Row {
    id: FileId,
    name: String,
    size_bytes: i64,
    state: String,
    format: Format,
    reading: serde_json::Value,
    headers: serde_json::Value,
    sample: serde_json::Value,
    mapping: Option<serde_json::Value>,
    kind: Kind,
    region: Option<String>,
    two_ways: TwoWays,
    bytes_done: i64,
    rows_done: i64,
    rows_good: i64,
    rows_bad: i64,
    rows_duplicate: i64,
    rows_two_ways: i64,
    missing: serde_json::Value,
    refusal: Option<String>,
    cancelling: bool,
    uploaded_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// How a file is read, as it is kept.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Reading {
    encoding: Option<String>,
    delimiter: Option<String>,
    sheets: Vec<String>,
    sheet: usize,
    header_row: i64,
    n_hidden: i64,
    takes_hidden: bool,
}

impl Reading {
    fn of(head: &TableHead) -> serde_json::Value {
        serde_json::json!(Reading {
            encoding: head.encoding.map(|encoding| encoding.word().to_owned()),
            delimiter: head.delimiter.map(|byte| char::from(byte).to_string()),
            sheets: head.sheets.clone(),
            sheet: head.sheet,
            header_row: head.header_row,
            n_hidden: head.n_hidden,
            takes_hidden: head.takes_hidden,
        })
    }
}

impl TryFrom<Row> for File {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let not_a_file = || DeserializationError(format!("files: not a file: {}", row.id).into());
        fn json<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> QueryResult<T> {
            serde_json::from_value(value).map_err(|error| DeserializationError(Box::new(error)))
        }
        let state = match (row.state.as_str(), row.finished_at, row.refusal.clone()) {
            ("received", None, None) => State::Received,
            ("importing", None, None) => State::Importing { cancelling: row.cancelling },
            ("imported", Some(at), None) => State::Imported { at },
            ("refused", Some(at), Some(why)) => State::Refused { at, why },
            ("cancelled", Some(at), None) => State::Cancelled { at },
            _ => return Err(not_a_file()),
        };
        let missing: std::collections::BTreeMap<String, i64> = json(row.missing)?;
        let reading: Reading = json(row.reading)?;
        Ok(File {
            id: row.id,
            name: row.name,
            size_bytes: row.size_bytes,
            head: TableHead {
                format: row.format,
                encoding: reading.encoding.as_deref().and_then(FileEncoding::of_word),
                delimiter: reading.delimiter.as_ref().and_then(|text| text.bytes().next()),
                sheets: reading.sheets,
                sheet: reading.sheet,
                header_row: reading.header_row,
                n_hidden: reading.n_hidden,
                takes_hidden: reading.takes_hidden,
                headers: json(row.headers)?,
                sample: json(row.sample)?,
            },
            kind: row.kind,
            region: row.region,
            two_ways: row.two_ways,
            mapping: row.mapping.map(json).transpose()?,
            counts: FileCounts {
                bytes_done: row.bytes_done,
                done: row.rows_done,
                good: row.rows_good,
                bad: row.rows_bad,
                duplicate: row.rows_duplicate,
                two_ways: row.rows_two_ways,
            },
            missing: missing.into_iter().collect(),
            state,
            uploaded_at: row.uploaded_at,
        })
    }
}
