//! store: Looking for contacts, a page at a time, however many there are.
//!
//! A search goes along an index, or through a bounded stretch of contacts:
//!
//! * nothing typed: the newest first;
//! * how an address or a customer ID begins: addresses in order, then customer IDs;
//! * `field: text`: contacts whose value in that field holds the text, newest
//!   first. No index answers that, so a page looks through so many contacts and
//!   no further, and the next page goes on where it stopped;
//! * where nothing begins so: how a number ends, which is how people at home write
//!   it, and any value that holds the text, accents and capitals apart; as before.

use crate::ids::ContactId;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::addresses::as_stored;
use super::store::{Contact, with_consent};
use crate::db::Assembled;
use crate::providers::Kind;

/// Contacts that a page of a search by value looks through: about a tenth of a second.
const STRETCH: i64 = 25_000;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContactSearch {
    /// As typed.
    pub q: String,
    pub kind: Option<Kind>,
    /// Where the page before ended, as [`Found::next`] said.
    pub after: String,
}

pub struct Found {
    pub contacts: Vec<Contact>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

/// Up to `n` contacts.
pub fn page(conn: &mut PgConnection, ask: &ContactSearch, n: usize, now: DateTime<Utc>) -> QueryResult<Found> {
    let q = ask.q.trim();
    if q.is_empty() {
        return newest(conn, ask, n, now);
    }
    match q.split_once(':').map(|(field, text)| (field.trim(), text.trim())) {
        // Whatever the capitals of the field's name.
        Some((field, text)) if !field.is_empty() && !text.is_empty() => through(conn, ask, n, now, &|sql| {
            sql.sql("EXISTS (SELECT FROM jsonb_each_text(c.\"values\") v WHERE lower(v.key) = lower(")
                .text(field)
                .sql(") AND strpos(lower(v.value), lower(")
                .text(text)
                .sql(")) > 0)");
        }),
        Some(_) | None => {
            if let Some(after) = ask.after.strip_prefix(ANYWHERE) {
                let ask = ContactSearch { after: after.to_owned(), ..ask.clone() };
                return anywhere(conn, &ask, q, n, now);
            }
            let found = beginning(conn, ask, q, n, now)?;
            let is_last = found.contacts.is_empty() && ask.after.is_empty();
            if is_last { anywhere(conn, ask, q, n, now) } else { Ok(found) }
        }
    }
}

/// Before where a search ended that no index helps.
const ANYWHERE: &str = "w";
/// Digits that tell somebody by the end of a number.
const TELLING_END: usize = 4;

/// Those whose number ends so, or of whom a value holds the text.
fn anywhere(conn: &mut PgConnection, ask: &ContactSearch, q: &str, n: usize, now: DateTime<Utc>) -> QueryResult<Found> {
    let end = as_stored(q);
    let is_end = end.len() >= TELLING_END && end.bytes().all(|b| b.is_ascii_digit());
    let mut found = through(conn, ask, n, now, &|sql| {
        sql.sql("(");
        if is_end {
            sql.sql("right(c.address, length(").text(&end).sql(")) = ").text(&end).sql(" OR ");
        }
        sql.sql("EXISTS (SELECT FROM jsonb_each_text(c.\"values\") v WHERE strpos(plain_text(v.value), plain_text(")
            .text(q)
            .sql(")) > 0))");
    })?;
    found.next = found.next.map(|next| format!("{ANYWHERE}{next}"));
    Ok(found)
}

fn newest(conn: &mut PgConnection, ask: &ContactSearch, n: usize, now: DateTime<Utc>) -> QueryResult<Found> {
    let mut sql = Assembled::default();
    with_consent(&mut sql, now, |sql| {
        sql.sql("SELECT * FROM contacts c WHERE c.id < ").number(below(&ask.after));
        of_kind(sql, ask.kind);
        sql.sql(" ORDER BY c.id DESC LIMIT ").number(n as i64 + 1);
    });
    sql.sql(" ORDER BY c.id DESC");
    let mut contacts: Vec<Contact> = sql.query().load(conn)?;
    let more = contacts.len() > n;
    contacts.truncate(n);
    let next = contacts.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Found { contacts, next })
}

/// Those of a stretch of contacts for whom this holds, newest first.
fn through(
    conn: &mut PgConnection,
    ask: &ContactSearch,
    n: usize,
    now: DateTime<Utc>,
    holds: &dyn Fn(&mut Assembled),
) -> QueryResult<Found> {
    #[derive(QueryableByName)]
    struct Edge {
        #[diesel(sql_type = Nullable<BigInt>)]
        id: Option<ContactId>,
    }
    let below = below(&ask.after);
    let edge: Option<Edge> =
        diesel::sql_query("SELECT id FROM contacts WHERE id < $1 ORDER BY id DESC OFFSET $2 LIMIT 1")
            .bind::<BigInt, _>(below)
            .bind::<BigInt, _>(STRETCH - 1)
            .get_result(conn)
            .optional()?;
    let edge = edge.and_then(|edge| edge.id);

    let mut sql = Assembled::default();
    with_consent(&mut sql, now, |sql| {
        sql.sql("SELECT * FROM contacts c WHERE c.id < ")
            .number(below)
            .sql(" AND c.id >= ")
            .number(edge.map_or(0, |id| id.0));
        of_kind(sql, ask.kind);
        sql.sql(" AND ");
        holds(sql);
        sql.sql(" ORDER BY c.id DESC LIMIT ").number(n as i64 + 1);
    });
    sql.sql(" ORDER BY c.id DESC");
    let mut contacts: Vec<Contact> = sql.query().load(conn)?;
    let more = contacts.len() > n;
    contacts.truncate(n);
    let next = if more { contacts.last().map(|last| last.id) } else { edge };
    Ok(Found { contacts, next: next.map(|id| id.to_string()) })
}

/// Where a search along addresses and then customer IDs is.
#[derive(Debug, PartialEq)]
enum Place {
    Start,
    /// Behind this address of the kind at this place of [`Kind::ALL`], from 1.
    Address(i64, String),
    /// Behind this contact, whose customer ID in small letters follows.
    Customer(i64, String),
}

impl Place {
    fn parse(text: &str) -> Place {
        let parsed = text.split_once(':').and_then(|(place, rest)| {
            let (way, number) = place.split_at_checked(1)?;
            let number = number.parse().ok()?;
            match way {
                "a" => Some(Place::Address(number, rest.to_owned())),
                "c" => Some(Place::Customer(number, rest.to_owned())),
                _ => None,
            }
        });
        parsed.unwrap_or(Place::Start)
    }
}

fn beginning(
    conn: &mut PgConnection,
    ask: &ContactSearch,
    q: &str,
    n: usize,
    now: DateTime<Utc>,
) -> QueryResult<Found> {
    let (address, customer) = (as_stored(q), q.to_lowercase());
    let place = Place::parse(&ask.after);
    let mut contacts = match &place {
        Place::Customer(..) => Vec::new(),
        Place::Start | Place::Address(..) if address.is_empty() => Vec::new(),
        Place::Start | Place::Address(..) => by_address(conn, ask, &address, &place, n + 1, now)?,
    };
    let n_addresses = contacts.len();
    if n_addresses <= n {
        contacts.extend(by_customer_id(conn, ask, &address, &customer, &place, n + 1 - n_addresses, now)?);
    }
    let more = contacts.len() > n;
    contacts.truncate(n);
    let next = contacts.last().filter(|_| more).map(|last| match contacts.len() <= n_addresses {
        true => format!("a{}:{}", place_of(last.kind), last.address),
        false => format!("c{}:{}", last.id, last.customer_id.as_deref().unwrap_or_default().to_lowercase()),
    });
    Ok(Found { contacts, next })
}

fn by_address(
    conn: &mut PgConnection,
    ask: &ContactSearch,
    begins: &str,
    place: &Place,
    n: usize,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Contact>> {
    let (from, after) = match place {
        Place::Address(kind, after) => (*kind, after.as_str()),
        Place::Start | Place::Customer(..) => (0, ""),
    };
    let kinds = ask.kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let mut found: Vec<Contact> = Vec::new();
    for kind in kinds.into_iter().filter(|kind| from <= place_of(*kind)) {
        let mut sql = Assembled::default();
        with_consent(&mut sql, now, |sql| {
            sql.sql("SELECT * FROM contacts c WHERE c.kind = ").text(kind.word()).sql(" AND ");
            starts(sql, "c.address", begins);
            if place_of(kind) == from {
                sql.sql(" AND c.address ~>~ ").text(after);
            }
            sql.sql(" ORDER BY c.address USING ~<~ LIMIT ").number((n - found.len()) as i64);
        });
        sql.sql(" ORDER BY c.address USING ~<~");
        found.extend(sql.query().load::<Contact>(conn)?);
        if found.len() == n {
            break;
        }
    }
    Ok(found)
}

fn by_customer_id(
    conn: &mut PgConnection,
    ask: &ContactSearch,
    address: &str,
    begins: &str,
    place: &Place,
    n: usize,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Contact>> {
    let mut sql = Assembled::default();
    with_consent(&mut sql, now, |sql| {
        sql.sql("SELECT * FROM contacts c WHERE c.customer_id IS NOT NULL AND ");
        starts(sql, "lower(c.customer_id)", begins);
        if let Place::Customer(id, after) = place {
            sql.sql(" AND lower(c.customer_id) ~>=~ ").text(after);
            sql.sql(" AND (lower(c.customer_id) ~>~ ").text(after).sql(" OR c.id > ").number(*id).sql(")");
        }
        // Those came before, by their address.
        if !address.is_empty() {
            sql.sql(" AND NOT (");
            starts(sql, "c.address", address);
            sql.sql(")");
        }
        of_kind(sql, ask.kind);
        sql.sql(" ORDER BY lower(c.customer_id) USING ~<~, c.id LIMIT ").number(n as i64);
    });
    sql.sql(" ORDER BY lower(c.customer_id) USING ~<~, c.id");
    sql.query().load(conn)
}

/// Adds that an expression begins with a text, as a stretch of the index with the
/// pattern class: Postgres finds it without knowing the text when it plans.
pub fn starts(sql: &mut Assembled, expression: &'static str, begins: &str) {
    sql.sql(expression).sql(" ~>=~ ").text(begins);
    if let Some(end) = beyond(begins) {
        sql.sql(" AND ").sql(expression).sql(" ~<~ ").text(&end);
    }
}

/// The least text behind all that begin with `prefix`; `None` when nothing is.
fn beyond(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = ((last as u32 + 1)..=char::MAX as u32).find_map(char::from_u32) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn of_kind(sql: &mut Assembled, kind: Option<Kind>) {
    if let Some(kind) = kind {
        sql.sql(" AND c.kind = ").text(kind.word());
    }
}

fn place_of(kind: Kind) -> i64 {
    Kind::ALL.iter().position(|it| *it == kind).map_or(0, |at| at as i64 + 1)
}

fn below(after: &str) -> i64 {
    after.parse().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_ends_where_nothing_begins_so_any_more() {
        assert_eq!(beyond("353"), Some("354".to_owned()));
        assert_eq!(beyond("9"), Some(":".to_owned()));
        assert_eq!(beyond("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
        assert_eq!(beyond("a\u{10ffff}"), Some("b".to_owned()));
        assert_eq!(beyond("\u{10ffff}"), None);
        assert_eq!(beyond(""), None);
    }

    #[test]
    fn a_place_that_nobody_made_is_the_start() {
        assert_eq!(Place::parse("a2:353"), Place::Address(2, "353".into()));
        assert_eq!(Place::parse("c17:ab:c"), Place::Customer(17, "ab:c".into()));
        for text in ["", "a", "ax:1", "é1:2", "z1:2", ":"] {
            assert_eq!(Place::parse(text), Place::Start, "{text}");
        }
    }
}
