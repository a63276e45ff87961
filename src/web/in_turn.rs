use std::io;

use actix_web::Error;
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::rt;
use actix_web::web::{Bytes, Data};
use diesel::PgConnection;
use futures_util::future::poll_fn;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use super::{Problem, who_asks};
use crate::app::App;
use crate::journal::{self, Entry, Happened};
use crate::turns::{Slow, Undone};

/// For a route that may be slow: takes one of the few places that a person has for such, or says to
/// try again.
pub async fn in_turn(
    app: Data<App>,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    take_turn(&app, Slow::Question, req, next).await
}

/// The same for a page that is slow when something is looked for.
pub async fn search_in_turn(
    app: Data<App>,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let searches =
        form_urlencoded::parse(req.query_string().as_bytes()).any(|(name, text)| name == "q" && !text.is_empty());
    match searches {
        true => take_turn(&app, Slow::Question, req, next).await,
        false => next.call(req).await.map(ServiceResponse::map_into_boxed_body),
    }
}

/// The same for a table to take away. The journal says who took it, before its first line leaves.
pub async fn table_in_turn(
    app: Data<App>,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let which: String = req.uri().to_string().chars().take(LONGEST_ADDRESS).collect();
    let answer = take_turn(&app, Slow::Table, req, next).await?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let (req, res) = answer.into_parts();
    let noted = match who_asks(&req) {
        Ok(person) => {
            let now = app.clock.now();
            let entry = move |conn: &mut PgConnection| {
                journal::note(conn, Entry::new(Happened::TableExported, 0, person.id).why(&which), now)
            };
            app.db.run(entry).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    let res = match noted {
        Ok(()) => res,
        Err(problem) => HttpResponse::from_error(problem),
    };
    Ok(ServiceResponse::new(req, res))
}

/// Characters of an address that the journal keeps.
const LONGEST_ADDRESS: usize = 500;

///
/// The place is kept until the work has ended, also when the browser is long gone: whoever
/// asks and hangs up has as many questions under way as everybody else. So the work has a
/// task of its own, and a table that is made while it is read comes out of that task.
async fn take_turn(
    app: &App,
    slow: Slow,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let person = match who_asks(req.request()) {
        Ok(person) => person,
        Err(problem) => return Ok(req.error_response(problem)),
    };
    let Some(turn) = app.turns.wait(slow, person.id).await else { return Ok(req.error_response(Problem::TooMany)) };
    let (tell, told) = oneshot::channel();
    let work = async move {
        let _turn = turn;
        let answer = match next.call(req).await {
            Ok(answer) if answer.response().body().size() == BodySize::Stream => answer,
            whole => return drop(tell.send(whole.map(ServiceResponse::map_into_boxed_body))),
        };
        let (req, res) = answer.into_parts();
        let (res, body) = res.into_parts();
        let (pages, comes) = mpsc::channel::<io::Result<Bytes>>(1);
        let comes = stream::unfold(comes, |mut comes| async move { comes.recv().await.map(|page| (page, comes)) });
        let res = res.set_body(BoxBody::new(BodyStream::new(comes)));
        if tell.send(Ok(ServiceResponse::new(req, res))).is_err() {
            return;
        }
        let mut body = Box::pin(body);
        while let Some(page) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            if pages.send(page.map_err(|error| io::Error::other(error.into().to_string()))).await.is_err() {
                return;
            }
        }
    };
    rt::spawn(work.in_current_span());
    told.await.unwrap_or_else(|_| Err(Problem::Panicked.into()))
}

/// Reckons away from the threads that answer pages, or says to try again.
pub async fn reckon<T: Send + 'static>(app: &App, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    app.turns.reckon(work).await.map_err(|undone| match undone {
        Undone::Full => Problem::TooMany,
        Undone::Panicked => Problem::Panicked,
    })
}
