use actix_web::body::SizedStream;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, post, route};
use diesel::Connection;
use futures_util::stream;
use serde_json::json;
use uuid::Uuid;

use super::domain::{KeptFile, LARGEST, Refused, is_shown, range, sniff};
use super::form::read_file;
use super::store;
use crate::access::{Operate, View};
use crate::app::App;
use crate::db::Error;
use crate::journal::{self, Entry, Happened};
use crate::web::{Incoming, May, Problem, site};

/// For who is signed in.
pub fn routes(pages: &mut ServiceConfig) {
    pages.service(bring).service(heard);
}

/// What providers and people's phones fetch.
pub fn doors(cfg: &mut ServiceConfig) {
    cfg.service(sent);
}

/// Takes a file that is to be sent, and tells under which address it lies; that goes into a text.
#[post("/media")]
async fn bring(may: May<Operate>, app: Data<App>, req: HttpRequest, form: Incoming) -> Result<HttpResponse, Problem> {
    let refused =
        |refused: Refused| Ok(HttpResponse::UnprocessableEntity().json(json!({ "error": refused.to_string() })));
    let (octets, name) = match read_file(form, LARGEST).await {
        Ok((octets, name)) if octets.is_empty() && name.is_empty() => return refused(Refused::Nothing),
        Ok(read) => read,
        Err(Problem::TooLarge(_)) => return refused(Refused::TooLarge),
        Err(problem) => return Err(problem),
    };
    let file = match sniff(&octets, &name) {
        Ok(file) => file,
        Err(why) => return refused(why),
    };
    let (by, now) = (may.person.id, app.clock.now());
    let kept = app
        .db
        .run(move |conn| {
            conn.transaction(|conn| {
                let kept = store::insert(conn, &file, &octets, Some(by), now)?;
                journal::note(conn, Entry::new(Happened::MediaAdded, kept.id, by).became(&kept.name), now)?;
                Ok::<_, Error<Refused>>(kept)
            })
        })
        .await?;
    let url = format!("{}{}", site(&req, &app.settings), kept.path());
    Ok(HttpResponse::Created().json(json!({ "url": url, "name": kept.name })))
}

/// What is sent, for whoever knows its address.
#[route("/media/{key}/{name}", method = "GET", method = "HEAD")]
async fn sent(app: Data<App>, req: HttpRequest, path: Path<(Uuid, String)>) -> Result<HttpResponse, Problem> {
    let (key, _) = path.into_inner();
    let file = app.db.run(move |conn| store::find(conn, key)).await?;
    if !file.is_public {
        return Err(Problem::NotFound);
    }
    let mut answer = answer(&app, &req, file, "public, max-age=31536000, immutable").await?;
    // Pages that show our web chat show it as well.
    let anywhere = HeaderValue::from_static("cross-origin");
    answer.headers_mut().insert(header::CROSS_ORIGIN_RESOURCE_POLICY, anywhere);
    Ok(answer)
}

/// What contacts sent, for people of the house.
#[route("/inbox/media/{key}/{name}", method = "GET", method = "HEAD")]
async fn heard(
    _may: May<View>,
    app: Data<App>,
    req: HttpRequest,
    path: Path<(Uuid, String)>,
) -> Result<HttpResponse, Problem> {
    let (key, _) = path.into_inner();
    let file = app.db.run(move |conn| store::find(conn, key)).await?;
    answer(&app, &req, file, "private, max-age=86400, immutable").await
}

/// A file, or the part of it that is wanted.
async fn answer(app: &App, req: &HttpRequest, file: KeptFile, keep: &'static str) -> Result<HttpResponse, Problem> {
    let wanted = req.headers().get(header::RANGE).and_then(|it| it.to_str().ok()).and_then(|it| range(it, file.size));
    let mut answer = match wanted {
        Some(Err(())) => {
            let all = format!("bytes */{}", file.size);
            return Ok(HttpResponse::RangeNotSatisfiable().insert_header((header::CONTENT_RANGE, all)).finish());
        }
        Some(Ok((from, to))) => {
            let mut answer = HttpResponse::PartialContent();
            answer.insert_header((header::CONTENT_RANGE, format!("bytes {from}-{to}/{}", file.size)));
            answer
        }
        None => HttpResponse::Ok(),
    };
    let (from, to) = wanted.and_then(Result::ok).unwrap_or((0, file.size - 1));
    // No other name can end the header: that of a file is tidy.
    let shown = if is_shown(&file.content_type) { "inline" } else { "attachment" };
    let name = percent_encoding::utf8_percent_encode(&file.name, percent_encoding::NON_ALPHANUMERIC);
    answer
        .content_type(file.content_type.as_str())
        .insert_header((header::CONTENT_DISPOSITION, format!("{shown}; filename*=UTF-8''{name}")))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, keep))
        // It is packed as it is, and its parts are told by their places.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-robots-tag", "noindex"));
    if req.method() == actix_web::http::Method::HEAD {
        let nothing = stream::empty::<Result<Bytes, std::io::Error>>();
        return Ok(answer.body(SizedStream::new(to - from + 1, nothing)));
    }
    let octets = Bytes::from(app.db.run(move |conn| store::octets(conn, file.id)).await?);
    let part = octets.slice(from as usize..=(to as usize).min(octets.len().saturating_sub(1)));
    Ok(answer.body(part))
}
