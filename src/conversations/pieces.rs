//! store: Texts that come in pieces. Each piece is kept until the others are there, and for a while after that, so
//! that one that is told again is known.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::db::schema::inbound_parts;
use crate::ids::ChannelId;
use crate::providers::{Inbound, TextPart};

/// How long a text waits for its pieces. What has come by then is handed on as it is.
const WAITS: TimeDelta = TimeDelta::minutes(2);
/// Providers tell again for a day; the names of texts come again after some hundreds.
const KEPT: TimeDelta = TimeDelta::hours(24);

#[derive(Queryable, Selectable)]
#[diesel(table_name = inbound_parts, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: i64,
    n: i32,
    n_of: i32,
    message: serde_json::Value,
    joined: bool,
}

/// Keeps a piece. Returns the whole text when this was the last that was missing.
pub fn keep(
    conn: &mut PgConnection,
    channel: ChannelId,
    it: &Inbound,
    part: &TextPart,
    now: DateTime<Utc>,
) -> QueryResult<Option<Inbound>> {
    use inbound_parts::{came_at, channel_id, from_whom, joined, message, n, n_of, of_text};
    let of = inbound_parts::table
        .filter(channel_id.eq(channel))
        .filter(from_whom.eq(&it.from))
        .filter(of_text.eq(&part.of_text));
    let mut known: Vec<Row> = of.order(n).select(Row::as_select()).for_update().load(conn)?;
    let is_known = |row: &Row| row.message.get("id").and_then(|id| id.as_str()) == Some(it.id.as_str());
    if known.iter().any(is_known) {
        return Ok(None);
    }
    // The name of a text has come round again.
    let (number, whole) = (i32::from(part.n), i32::from(part.of));
    if known.iter().any(|row| row.joined || row.n == number || row.n_of != whole) {
        diesel::delete(of).execute(conn)?;
        known.clear();
    }
    let text = serde_json::to_value(it).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    diesel::insert_into(inbound_parts::table)
        .values((
            channel_id.eq(channel),
            from_whom.eq(&it.from),
            of_text.eq(&part.of_text),
            n.eq(number),
            n_of.eq(whole),
            message.eq(text),
            came_at.eq(now),
        ))
        .execute(conn)?;
    if known.len() + 1 < usize::from(part.of) {
        return Ok(None);
    }
    let rows: Vec<Row> = of.order(n).select(Row::as_select()).load(conn)?;
    diesel::update(of).set(joined.eq(true)).execute(conn)?;
    Ok(join(read(rows)))
}

/// Texts of which nothing has come for a while: what there is of them. Those are remembered as joined.
pub fn overdue(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<(ChannelId, Inbound)>> {
    use inbound_parts::{came_at, channel_id, from_whom, id, joined, n, of_text};
    type Name = (ChannelId, String, String);
    diesel::delete(inbound_parts::table.filter(came_at.lt(now - KEPT))).execute(conn)?;
    let late: Vec<Name> = inbound_parts::table
        .filter(joined.eq(false))
        .filter(came_at.le(now - WAITS))
        .select((channel_id, from_whom, of_text))
        .distinct()
        .load(conn)?;
    let mut texts = Vec::new();
    for (channel, from, text) in late {
        let of = inbound_parts::table
            .filter(channel_id.eq(channel))
            .filter(from_whom.eq(&from))
            .filter(of_text.eq(&text))
            .filter(joined.eq(false));
        let rows: Vec<Row> = of.order(n).select(Row::as_select()).for_update().skip_locked().load(conn)?;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        diesel::update(inbound_parts::table.filter(id.eq_any(&ids))).set(joined.eq(true)).execute(conn)?;
        texts.extend(join(read(rows)).map(|whole| (channel, whole)));
    }
    Ok(texts)
}

/// One message of its pieces, each with its number and of how many it is, named as the first of them. Where one is
/// missing stands a sign for it.
pub fn join(mut pieces: Vec<(i32, i32, Inbound)>) -> Option<Inbound> {
    pieces.sort_by_key(|(n, ..)| *n);
    let of = pieces.last()?.1;
    let mut whole: Option<(i32, Inbound)> = None;
    for (n, until, piece) in without_cuts(pieces) {
        whole = Some(match whole {
            None if n == 1 => (until, piece),
            None => (until, Inbound { text: format!("[…] {}", piece.text), ..piece }),
            Some((last, mut it)) => {
                it.text.push_str(if n == last + 1 { "" } else { " […] " });
                it.text.push_str(&piece.text);
                it.media.extend(piece.media);
                (until, it)
            }
        });
    }
    let (last, mut it) = whole?;
    if last < of {
        it.text.push_str(" […]");
    }
    Some(Inbound { part: None, octets: None, ..it })
}

/// The same, in their order: what was cut into octets is read as one where no piece is missing. Each with the numbers of
/// its first and last piece.
fn without_cuts(pieces: Vec<(i32, i32, Inbound)>) -> Vec<(i32, i32, Inbound)> {
    let mut read: Vec<(i32, i32, Inbound)> = Vec::new();
    for (n, _, piece) in pieces {
        if let (Some((_, last, before)), Some(octets)) = (read.last_mut(), &piece.octets)
            && n == *last + 1
            && let Some(both) = before.octets.clone().and_then(|it| it.and(octets))
        {
            before.text = both.text();
            before.octets = Some(Box::new(both));
            before.media.extend(piece.media);
            *last = n;
        } else {
            read.push((n, n, piece));
        }
    }
    read
}

fn read(rows: Vec<Row>) -> Vec<(i32, i32, Inbound)> {
    let piece = |row: Row| Some((row.n, row.n_of, serde_json::from_value(row.message).ok()?));
    rows.into_iter().filter_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::letters::{Letters, Undecoded};

    fn piece(n: i32, of: i32, text: &str) -> (i32, i32, Inbound) {
        (n, of, Inbound { id: format!("id-{n}"), from: "1".into(), text: text.into(), ..Inbound::default() })
    }

    #[test]
    fn pieces_are_put_in_their_order_and_what_is_missing_is_marked() {
        let joined = |pieces: &[(i32, i32, Inbound)]| join(pieces.to_vec()).map(|it| (it.id, it.text));
        let both = [piece(2, 2, " and late"), piece(1, 2, "Broken down")];
        assert_eq!(joined(&both), Some(("id-1".into(), "Broken down and late".into())));
        assert_eq!(joined(&[piece(2, 4, "b")]), Some(("id-2".into(), "[…] b […]".into())));
        assert_eq!(joined(&[piece(1, 3, "a"), piece(3, 3, "c")]), Some(("id-1".into(), "a […] c".into())));
        assert_eq!(joined(&[]), None);
    }

    #[test]
    fn a_letter_that_was_cut_in_two_between_pieces_is_whole_unless_one_is_missing() {
        let cut = |n: i32, octets: &[u8]| {
            let octets = Undecoded { letters: Letters::Ucs2, octets: octets.to_vec() };
            let (_, _, it) = piece(n, 3, &octets.text());
            (n, 3, Inbound { octets: Some(Box::new(octets)), ..it })
        };
        let them = [cut(1, b"\x00a\xd8\x3d"), cut(2, b"\xde\x31\x00b\xd8\x3d"), cut(3, b"\xde\x00")];
        let joined = |pieces: &[(i32, i32, Inbound)]| join(pieces.to_vec()).unwrap();
        assert_eq!((joined(&them).text.as_str(), joined(&them).octets), ("a😱b😀", None));
        assert_eq!(joined(&[them[2].clone(), them[0].clone()]).text, "a\u{fffd} […] \u{fffd}");
    }
}
