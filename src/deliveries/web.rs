use std::sync::Arc;

use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;

use super::ledger::{self, GoesOn, LedgerAsk, LedgerEntry, LedgerLook};
use super::{Outcome, Show, Standing};
use crate::access::{Export, Role, View};
use crate::app::App;
use crate::contacts::addresses::in_full;
use crate::ids::RunId;
use crate::providers::Kind;
use crate::runs::RunState;
use crate::web::chart::thousands;
use crate::web::csv::as_text;
use crate::web::{Frame, May, Problem, in_turn, page, table_in_turn};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(read).service(export);
}

// The ledger of a run

/// Rows on one page.
const PAGE: usize = 100;

#[derive(Default, Deserialize)]
struct Filter {
    #[serde(default)]
    show: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: i32,
    #[serde(default)]
    found: usize,
}

impl Filter {
    fn ask(&self) -> LedgerAsk {
        let show = Show::of_word(&self.show).unwrap_or_default();
        LedgerAsk { show, begins: self.q.trim().to_owned(), after: self.after, found: self.found.min(PAGE) }
    }
}

#[derive(Template)]
#[template(path = "deliveries/ledger.html")]
struct Ledger {
    frame: Frame,
    seen: LedgerLook,
}

impl Ledger {
    /// This page, showing something else.
    fn href(&self, show: &Show) -> String {
        self.address("", *show, &[])
    }

    fn next_href(&self, after: &i32) -> String {
        self.address("", self.seen.ask.show, &[("after", *after as usize)])
    }

    /// What looks for the rest of this page.
    fn look_on_href(&self, after: &i32) -> String {
        let found = self.seen.ask.found + self.seen.entries.len();
        self.address("", self.seen.ask.show, &[("after", *after as usize), ("found", found)])
    }

    fn export_href(&self) -> String {
        self.address("/ledger.csv", self.seen.ask.show, &[])
    }

    fn address(&self, below: &str, show: Show, more: &[(&str, usize)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("show", &show.word());
        if !self.seen.ask.begins.is_empty() {
            query.append_pair("q", &self.seen.ask.begins);
        }
        for (name, value) in more {
            query.append_pair(name, &value.to_string());
        }
        format!("/runs/{}{below}?{}", self.seen.head.run.id, query.finish())
    }

    /// Nobody was found in the whole run, after however many looks.
    fn is_empty(&self) -> bool {
        self.seen.entries.is_empty() && self.seen.ask.found == 0 && self.seen.goes_on.is_none()
    }

    /// The counts of the run, each with what shows the rows behind it.
    fn counted(&self) -> impl Iterator<Item = (Show, String)> {
        Show::COUNTED.into_iter().filter_map(|show| Some((show, thousands(show.count(&self.seen.counts)?))))
    }

    /// Outcomes that occur in this run, with how often.
    fn outcomes(&self) -> impl Iterator<Item = (Show, String)> {
        let told_above = |(outcome, _): &&(Outcome, i64)| *outcome != Outcome::NoGroup;
        let single = self.seen.outcomes.iter().filter(told_above).map(|(outcome, n)| (Show::Outcome(*outcome), *n));
        let waiting = Some(self.seen.counts.retrying).filter(|n| *n > 0 && !self.seen.head.run.state.has_ended());
        single.chain(waiting.map(|n| (Show::Retrying, n))).map(|(show, n)| (show, thousands(n)))
    }

    fn state(&self) -> (&'static str, &'static str) {
        match self.seen.head.run.state {
            RunState::Waiting => ("waiting", "Waiting"),
            RunState::Running => ("live", "Live"),
            RunState::Paused { .. } => ("paused", "Paused"),
            RunState::Completed { .. } => ("completed", "Completed"),
            RunState::Overrun { .. } => ("overrun", "Overrun"),
            RunState::Stopped { .. } => ("stopped", "Stopped"),
        }
    }

    fn day(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.seen.head.zone).format("%-d %B %Y, %H:%M").to_string()
    }

    fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.seen.head.zone).format("%-d %b %H:%M:%S").to_string()
    }
}

#[get("/runs/{id}", wrap = "from_fn(in_turn)")]
async fn read(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<RunId>,
    filter: Query<Filter>,
) -> Result<HttpResponse, Problem> {
    let (id, ask) = (id.into_inner(), filter.ask());
    let mut seen = app.db.look(move |conn| ledger::look(conn, id, ask, PAGE)).await?;
    let n = seen.entries.len();
    let hidden = |it: &LedgerEntry| frame.person.may_not_find(&seen.ask.begins, &it.address, it.customer_id.as_deref());
    seen.entries.retain(|it| !hidden(it));
    if seen.entries.len() < n {
        seen.goes_on = None;
    }
    page(Ledger { frame, seen })
}

// The same as a table to take away

/// Rows read at once while exporting.
const EXPORTED_AT_ONCE: i64 = 2000;

#[get("/runs/{id}/ledger.csv", wrap = "from_fn(table_in_turn)")]
async fn export(
    _may: May<Export>,
    app: Data<App>,
    id: Path<RunId>,
    filter: Query<Filter>,
) -> Result<HttpResponse, Problem> {
    let (id, ask) = (id.into_inner(), filter.ask());
    let head = app.db.run(move |conn| ledger::head(conn, id)).await?;
    let file = format!("attachment; filename=\"ledger-of-run-{id}.csv\"");

    // Without the mark in front Excel takes UTF-8 for something else.
    let mut first = "\u{feff}".as_bytes().to_vec();
    let fields = Arc::new(head.run.fields);
    first.extend(csv_lines([column_names(&fields)])?);
    let pages = stream::try_unfold((Some(ask), first), move |(ask, mut lines)| {
        let (app, zone, kind, fields) = (app.clone(), head.zone, head.kind, fields.clone());
        async move {
            let Some(mut ask) = ask else { return Ok::<_, Problem>(None) };
            let wanted = ask.clone();
            let entries =
                app.db.run(move |conn| ledger::entries(conn, id, &wanted, i32::MAX, EXPORTED_AT_ONCE)).await?;
            let rows =
                entries.iter().map(|entry| cells(entry, &fields, kind, |at| at.with_timezone(&zone).to_rfc3339()));
            lines.extend(csv_lines(rows)?);
            let more = entries.len() as i64 == EXPORTED_AT_ONCE;
            ask.after = entries.last().map_or(ask.after, |entry| entry.seq);
            Ok(Some((Bytes::from(lines), (more.then_some(ask), Vec::new()))))
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, file))
        .streaming(pages))
}

const COLUMNS: [&str; 9] = ["row", "address", "customer id", "code", "outcome", "why", "detail", "attempt", "time"];

/// Our own columns, and behind them those of the values. One that is called like one of ours is told apart, so that
/// the table can be uploaded again.
fn column_names(fields: &[String]) -> Vec<String> {
    let ours = |field: &str| COLUMNS.contains(&field.to_lowercase().as_str());
    let of_values = fields.iter().map(|field| if ours(field) { format!("{field} of the file") } else { field.clone() });
    COLUMNS.map(str::to_owned).into_iter().chain(of_values.map(|name| as_text(&name))).collect()
}

fn cells(entry: &LedgerEntry, fields: &[String], kind: Kind, time: impl Fn(DateTime<Utc>) -> String) -> Vec<String> {
    let code = entry.standing.outcome().map(|outcome| outcome.code().to_string()).unwrap_or_default();
    let ours = [
        entry.seq.to_string(),
        in_full(kind, &entry.address),
        entry.customer_id.as_deref().map(as_text).unwrap_or_default(),
        code,
        entry.standing.name().to_owned(),
        entry.standing.why().to_owned(),
        entry.detail.as_deref().map(as_text).unwrap_or_default(),
        entry.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
        entry.settled_at.map(time).unwrap_or_default(),
    ];
    let value = |field: &String| entry.values.get(field).and_then(Value::as_str).map(as_text).unwrap_or_default();
    ours.into_iter().chain(fields.iter().map(value)).collect()
}

fn csv_lines(rows: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(&row).map_err(|error| Problem::Unexpected(error.into()))?;
    }
    writer.into_inner().map_err(|error| Problem::Unexpected(anyhow::anyhow!("lines of a table: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_line_says_who_and_why_in_words_and_codes() {
        let entry = LedgerEntry {
            seq: 7,
            address: "353871234567".into(),
            customer_id: Some("=cmd".into()),
            standing: Standing::Final(Outcome::Rejected),
            attempt: Some(2),
            detail: Some("no, \"really\"".into()),
            settled_at: None,
            next_try_at: None,
            values: serde_json::json!({"name": "Ann", "Why": "=1"}),
        };
        let fields = ["name", "city", "Why"].map(str::to_owned);
        let line =
            String::from_utf8(csv_lines([cells(&entry, &fields, Kind::Sms, |at| at.to_rfc3339())]).unwrap()).unwrap();
        assert_eq!(
            line,
            "7,+353871234567,'=cmd,12,rejected,The provider refused it.,\"no, \"\"really\"\"\",2,,Ann,,'=1\n"
        );
        assert_eq!(column_names(&fields)[COLUMNS.len()..], ["name", "city", "Why of the file"]);
    }
}
