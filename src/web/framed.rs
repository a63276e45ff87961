use actix_web::Error as WebError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::middleware::Next;
use askama::Template;

use super::Htmx;
use super::may::Frame;
use super::problem::Problem;

/// A problem in the frame of somebody who is signed in.
#[derive(Template)]
#[template(path = "problem_framed.html")]
struct FramedPage<'a> {
    frame: Frame,
    headline: &'a str,
    advice: &'a str,
}

/// Draws a problem in the frame of the pages, with the way on, for whoever is signed in. What htmx
/// asked for keeps the page that it only lifts a section out of.
pub async fn framed(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, WebError> {
    let frame = Frame::of(req.request()).ok().filter(|_| Htmx::of(req.request()) == Htmx(false));
    let answer = next.call(req).await;
    let Some(frame) = frame else { return answer.map(ServiceResponse::map_into_boxed_body) };
    match answer {
        Ok(answer) => {
            let html = answer.response().error().and_then(|error| in_frame(error, frame));
            let answer = answer.map_into_boxed_body();
            Ok(match html {
                Some(html) => answer.map_body(|_, _| BoxBody::new(html)),
                None => answer,
            })
        }
        Err(error) => Err(match in_frame(&error, frame) {
            Some(html) => {
                let response = error.error_response().map_body(|_, _| BoxBody::new(html));
                InternalError::from_response("told already", response).into()
            }
            None => error,
        }),
    }
}

fn in_frame(error: &WebError, frame: Frame) -> Option<String> {
    let problem = error.as_error::<Problem>().filter(|it| !matches!(it, Problem::SignInFirst { .. }))?;
    let (headline, advice) = problem.words();
    FramedPage { frame, headline: &headline, advice: &advice }.render().ok()
}
