//! Bodies come in time, or not at all.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::{FutureExt, Stream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Problem;

/// How long the body of a request may take.
const FORM: Duration = Duration::from_secs(10);
/// Files may take longer, so long as this many bytes a second come on an average.
const LEAST_RATE: u64 = 1024;
/// What strangers send comes faster, or not at all.
const LEAST_OF_STRANGERS: u64 = 16 * 1024;
/// But no longer than this.
const FILE: Duration = Duration::from_secs(3600);

/// Ends requests whose body trickles in, so that nobody holds connections with them.
///
/// Those that were answered before their body was whole are closed as well: what strangers go
/// on sending is not read.
pub async fn in_time(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let payload = match req.take_payload() {
        Payload::None => return Ok(next.call(req).await?.map_into_left_body()),
        payload => payload,
    };
    let kind = req.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    let is_file = kind.is_some_and(|kind| kind.starts_with(b"multipart/"));
    let least = match req.path() {
        _ if !is_file => None,
        path if path.starts_with("/webchat/") => Some(LEAST_OF_STRANGERS),
        path => (!super::cross_site::asks_itself(path)).then_some(LEAST_RATE),
    };
    let (payload, state) = (Rc::new(RefCell::new(payload)), Rc::new(Cell::new(State::Coming)));
    let timed = Timed::new(payload.clone(), least, state.clone());
    req.set_payload(Payload::Stream { payload: Box::pin(timed) });

    let answer = next.call(req).await?;
    let mut answer = match state.get() {
        State::Whole => return Ok(answer.map_into_left_body()),
        State::Coming => answer.map_into_boxed_body(),
        State::Late => {
            let (req, _) = answer.into_parts();
            ServiceResponse::from_err(Problem::TooLate, req)
        }
    };
    answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    Ok(answer.map_body(|_, body| Early { body, _rest: payload }).map_into_right_body())
}

/// An answer to a request whose body has not come to its end.
///
/// It holds on to the rest until it is told to its last byte. Whoever lets go of a body without an end before that
/// has it read, however long it takes; the head of an answer is let go as soon as it is written.
struct Early {
    body: BoxBody,
    _rest: Rc<RefCell<Payload>>,
}

impl MessageBody for Early {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Coming,
    Whole,
    Late,
}

/// A body that fails when it takes too long.
struct Timed {
    payload: Rc<RefCell<Payload>>,
    /// Bytes a second of a file; `None`: it is none.
    least: Option<u64>,
    began: Instant,
    /// Rings when it must have ended.
    alarm: Pin<Box<Sleep>>,
    received: u64,
    state: Rc<Cell<State>>,
}

impl Timed {
    fn new(payload: Rc<RefCell<Payload>>, least: Option<u64>, state: Rc<Cell<State>>) -> Self {
        let began = Instant::now();
        Timed { payload, least, began, alarm: Box::pin(sleep_until(began + FORM)), received: 0, state }
    }

    fn ends(&self) -> Instant {
        let earned = self.least.map_or(Duration::ZERO, |least| Duration::from_secs(self.received / least));
        self.began + (FORM + earned).min(FILE)
    }
}

impl Stream for Timed {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let ends = self.ends();
        if ends != self.alarm.deadline() {
            self.alarm.as_mut().reset(ends);
        }
        if self.alarm.poll_unpin(cx).is_ready() {
            self.state.set(State::Late);
            return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
        }
        let next = Pin::new(&mut *self.payload.borrow_mut()).poll_next(cx);
        match &next {
            Poll::Ready(Some(Ok(bytes))) => self.received += bytes.len() as u64,
            Poll::Ready(None) => self.state.set(State::Whole),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use futures_util::{StreamExt, stream};

    use super::*;

    /// A body of pieces of so many bytes, one in each so many seconds, without an end.
    fn trickle(bytes: usize, seconds: u64) -> Payload {
        let pieces = stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some((Ok(Bytes::from(vec![b'x'; bytes])), ()))
        });
        Payload::Stream { payload: Box::pin(pieces) }
    }

    async fn swallow(mut body: web::Payload) -> HttpResponse {
        while let Some(Ok(_)) = body.next().await {}
        HttpResponse::Ok().finish()
    }

    async fn refuse() -> HttpResponse {
        HttpResponse::Forbidden().finish()
    }

    /// What is answered, after how long, and whether the connection ends.
    async fn answer(path: &str, kind: &str, body: Payload) -> (u16, u64, bool) {
        tokio::time::pause();
        let app = App::new()
            .route("/refuse", web::post().to(refuse))
            .default_service(web::post().to(swallow))
            .wrap(from_fn(in_time));
        let service = init_service(app).await;
        let request = TestRequest::post().uri(path).insert_header((CONTENT_TYPE, kind)).to_request();
        let began = Instant::now();
        let answer = call_service(&service, request.replace_payload(body).0).await;
        let took = began.elapsed().as_secs();
        tokio::time::resume();
        (answer.status().as_u16(), took, answer.response().head().connection_type() == ConnectionType::Close)
    }

    #[actix_web::test]
    async fn a_form_has_ten_seconds_however_it_trickles() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(answer("/sign-in", form, trickle(1, 2)).await, (408, 10, true));
        assert_eq!(answer("/sign-in", form, trickle(100_000, 2)).await, (408, 10, true));
        assert_eq!(answer("/sign-in", form, trickle(1, 100)).await, (408, 10, true));
        let whole = stream::iter([Ok::<_, PayloadError>(Bytes::from_static(b"a=b"))]).boxed_local();
        assert_eq!(answer("/sign-in", form, Payload::Stream { payload: whole }).await, (200, 0, false));
    }

    #[actix_web::test]
    async fn a_file_may_take_longer_while_it_comes_and_not_for_ever() {
        let file = "multipart/form-data; boundary=x";
        assert_eq!(answer("/files", file, trickle(100, 1)).await.0, 408);
        let (status, took, _) = answer("/files", file, trickle(4096, 1)).await;
        assert_eq!((status, took), (408, FILE.as_secs()));
        assert_eq!(answer("/webhooks/1", file, trickle(4096, 1)).await, (408, 10, true), "providers bring no files");
        let (status, took, _) = answer("/webchat/1/media", file, trickle(4096, 1)).await;
        assert!(status == 408 && took < 15, "strangers bring them faster: {took} s");
    }

    #[actix_web::test]
    async fn what_is_refused_is_read_no_further() {
        assert_eq!(answer("/refuse", "text/plain", trickle(1, 1)).await, (403, 0, true));
    }
}
