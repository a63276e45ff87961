//! store: What was understood of a quick campaign, shown before anything leaves.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Map, Value};

use super::typed::Typed;
use crate::contacts::addresses::{Doubtful, TwoWays, spaced};
use crate::contacts::store::known_fields;
use crate::files;
use crate::ids::FileId;
use crate::pacing::{Calendar, Rate};
use crate::web::chart::thousands;
use crate::wording::Template;

/// First numbers and texts that are shown.
const SHOWN: usize = 3;
/// What is left out is named up to here.
const NAMED: i64 = 10;

/// Where the contacts come from.
pub enum QuickSource<'a> {
    Numbers(&'a Typed),
    /// Imported.
    File(FileId),
    /// So many on it now.
    List(i64),
}

/// What would be sent, and what stands in the way of sending it to everybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Understood {
    /// What there was to read: rows, or numbers.
    pub rows: i64,
    /// Who can be sent to.
    pub good: i64,
    /// The first of them, as they will be dialled.
    pub numbers: Vec<String>,
    /// The texts of the first of them.
    pub texts: Vec<String>,
    /// Why others are left out: the first of them. Of typed numbers the page names them where they are typed.
    pub left_out: Vec<String>,
    pub n_left_out: i64,
    /// Rows that name somebody once more.
    pub repeated: i64,
    /// Numbers that could be read in two ways, and what was made of them.
    pub doubtful: Doubtful,
    pub two_ways: TwoWays,
    /// Fields that the text cannot do without, with how many rows have nothing there.
    pub lacking: Vec<(String, i64)>,
    /// What looks like a field and is none.
    pub unknown: Vec<String>,
    /// For how many there is no time before the end.
    pub late: i64,
}

impl Understood {
    /// Whether somebody has to look at it first.
    pub fn asks(&self) -> bool {
        self.n_left_out > 0 || !self.lacking.is_empty() || !self.unknown.is_empty() || self.late > 0
    }

    /// On the button that sends all the same.
    pub fn send_to(&self) -> String {
        match self.good {
            good if good == self.rows => format!("Send to {}", thousands(good)),
            good => format!("Send to {} of {}", thousands(good), thousands(self.rows)),
        }
    }
}

pub fn understood(conn: &mut PgConnection, source: &QuickSource<'_>, body: &str) -> QueryResult<Understood> {
    match source {
        QuickSource::Numbers(typed) => Ok(of_numbers(typed, body)),
        QuickSource::File(file) => of_file(conn, *file, body),
        QuickSource::List(n) => {
            let unknown = Template::parse(body, &known_fields(conn)?).unknown().to_vec();
            Ok(Understood { rows: *n, good: *n, unknown, ..Understood::default() })
        }
    }
}

fn of_numbers(typed: &Typed, body: &str) -> Understood {
    let good = typed.good.len() as i64;
    Understood {
        rows: good + typed.n_bad as i64,
        good,
        numbers: typed.good.iter().take(SHOWN).map(|number| spaced(number)).collect(),
        texts: vec![body.to_owned()],
        n_left_out: typed.n_bad as i64,
        repeated: typed.repeated as i64,
        doubtful: typed.doubtful.clone(),
        two_ways: typed.two_ways,
        unknown: Template::parse(body, &[]).unknown().to_vec(),
        ..Understood::default()
    }
}

fn of_file(conn: &mut PgConnection, id: FileId, body: &str) -> QueryResult<Understood> {
    let file = files::store::find(conn, id)?;
    let text = Template::parse(body, &file.head.headers);
    let first = files::store::first_rows(conn, id, SHOWN as i32)?;
    let problems = files::store::problems(conn, id, 0, NAMED)?;
    let nothing = Map::new();
    let rendered = |values: &Value| text.render(values.as_object().unwrap_or(&nothing));
    let needed = text.needed();
    Ok(Understood {
        rows: file.counts.done,
        good: file.counts.good,
        numbers: first.iter().map(|row| spaced(&row.address)).collect(),
        texts: first.iter().filter_map(|row| rendered(&row.values).ok()).collect(),
        left_out: problems.iter().map(|it| format!("Row {}: {}", it.line, it.says)).collect(),
        n_left_out: file.counts.bad,
        repeated: file.counts.duplicate,
        doubtful: files::actions::doubtful(conn, &file)?,
        two_ways: file.two_ways,
        lacking: file.missing.into_iter().filter(|(field, _)| needed.contains(&field.as_str())).collect(),
        unknown: text.unknown().to_vec(),
        late: 0,
    })
}

/// For how many of `n` contacts there is no time between start and end.
pub fn late(n: i64, rate: Rate, starts: DateTime<Utc>, ends: DateTime<Utc>, calendar: &Calendar) -> i64 {
    let Rate::Fixed(rate) = rate else { return 0 };
    let open = calendar.closed(0, starts, ends).open_time(starts, ends);
    // The first leaves at the very start.
    let in_time = (open.as_seconds_f64() / 60.0 * rate).ceil() as i64;
    (n - in_time).max(0)
}
