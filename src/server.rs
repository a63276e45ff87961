//! The front door: every room's pages behind the same guards.

use std::time::Duration;

use actix_files::Files;
use actix_session::SessionMiddleware;
use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, SameSite, time};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::Uri;
use actix_web::http::header::{CACHE_CONTROL, ContentType, HeaderValue};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, get, route};
use askama::Template;
use diesel::connection::SimpleConnection;
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::Span;
use tracing_actix_web::{RootSpanBuilder, TracingLogger};

use crate::access::View;
use crate::app::{App, DemoProgress};
use crate::people::domain::IDLE;
use crate::people::known::{Seal, keep as keep_known};
use crate::people::store::{ATTENDED, PgSessions};
use crate::web::{
    May, Problem, framed, harden, in_time, is_local, page, plain_host, refuse_cross_site, see_other, survive,
};
use crate::{
    blocklist, bots, calendar, channels, consent, contact_page, contacts, conversations, daily, deliveries, drafting,
    files, inbound, inbox, lists, losses, media, people, quick, sandbox, screen, settings, trial, webchat,
};

/// Pages: what people visit, signed in or about to be.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(home)
        .service(demo)
        .configure(people::web::routes)
        .configure(settings::web::routes)
        .configure(channels::web::routes)
        .configure(channels::template_pages::routes)
        .configure(channels::template_form::routes)
        .configure(trial::web::routes)
        .configure(contacts::web::routes)
        .configure(blocklist::web::routes)
        .configure(consent::web::routes)
        .configure(files::web::configure)
        .configure(media::web::routes)
        .configure(lists::web::routes)
        .configure(bots::web::routes)
        .configure(deliveries::web::routes)
        .configure(contact_page::web::routes)
        .configure(daily::web::routes)
        .configure(quick::web::routes)
        .configure(inbound::web::routes)
        .configure(drafting::web::routes)
        .configure(screen::web::routes)
        .configure(calendar::web::routes)
        .configure(inbox::web::routes)
        .configure(losses::web::routes)
        .configure(webchat::web::routes)
        .configure(sandbox::web::routes);
}

/// What needs no session, because machines ask for it or everyone may see it.
fn without_session(cfg: &mut ServiceConfig) {
    cfg.service(alive).service(ready).service(measures).configure(conversations::web::webhooks);
}

/// Everything we answer, from the outside in: traced, compressed, hardened, refused
/// when it comes from another site, and for pages with their session.
///
/// `key` signs the session cookie; it must be the same in every process and after a restart.
/// Add a `Data<Option<PrometheusHandle>>` to what this returns to have `/metrics`.
pub fn app(
    data: Data<App>,
    key: Key,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let files = Files::new("/", &data.settings.static_dir).default_handler(web::to(not_found));

    actix_web::App::new()
        .app_data(data.clone())
        .configure(readable)
        .configure(without_session)
        .configure(|cfg| {
            if data.settings.pages {
                let pages = web::scope("")
                    .app_data(Data::new(Seal(key.clone())))
                    .wrap(from_fn(survive))
                    .wrap(from_fn(framed))
                    .wrap(sessions(data.clone(), key))
                    .wrap(from_fn(attended))
                    .wrap(from_fn(keep_known))
                    .configure(routes);
                cfg.configure(webchat::web::doors)
                    .configure(media::web::doors)
                    .service(web::scope("/static").wrap(from_fn(keep)).service(files))
                    .service(pages.default_service(web::to(not_found)));
            }
        })
        .wrap(from_fn(refuse_cross_site))
        .wrap(from_fn(survive))
        .wrap(from_fn(in_time))
        .wrap(from_fn(harden))
        .wrap(Compress::default())
        .wrap(TracingLogger::<ByRoute>::new())
}

/// Tells in the log which route was asked for, never the address itself: phone
/// numbers stand in paths and in searches.
struct ByRoute;

impl RootSpanBuilder for ByRoute {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let route = request.match_pattern().unwrap_or_default();
        tracing::info_span!("request", method = %request.method(), route, status = tracing::field::Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
    }
}

/// What cannot be read is answered with a page of ours, too.
fn readable(cfg: &mut ServiceConfig) {
    let unreadable = || Problem::Invalid("This request could not be understood".to_owned());
    cfg.app_data(web::PathConfig::default().error_handler(|_, _| Problem::NotFound.into()))
        .app_data(web::QueryConfig::default().error_handler(move |_, _| unreadable().into()))
        .app_data(web::FormConfig::default().limit(256 * 1024).error_handler(move |_, _| unreadable().into()));
}

fn sessions(data: Data<App>, key: Key) -> SessionMiddleware<PgSessions> {
    let secure = data.settings.secure_cookies;
    // The prefix makes browsers refuse a cookie of this name that a neighbouring domain planted.
    let name = if secure { "__Host-bugle" } else { "bugle" };
    // PgSessions extends a session that is used; the cookie ends with the browser.
    let lifecycle = BrowserSession::default().state_ttl(time::Duration::seconds(IDLE.num_seconds()));

    SessionMiddleware::builder(PgSessions::new(data), key)
        .cookie_name(name.to_owned())
        .cookie_content_security(CookieContentSecurity::Signed)
        .cookie_secure(secure)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path("/".to_owned())
        .session_lifecycle(lifecycle)
        .build()
}

/// Notes whether a person asks or only a page by itself, which says so or watches.
async fn attended(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let by_itself = req.headers().contains_key("Bugle-Poll") || req.path() == "/campaigns/live";
    let attended = !by_itself || req.method() != Method::GET;
    ATTENDED.scope(attended, next.call(req)).await
}

/// Lets browsers keep our own files for an hour, and those with a version in their name for good.
async fn keep(req: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let versioned = req.path().starts_with("/static/vendor/");
    let mut res = next.call(req).await?;
    if !res.status().is_client_error() && !res.status().is_server_error() {
        let how_long = if versioned { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
        res.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(how_long));
    }
    Ok(res)
}

#[get("/")]
async fn home() -> HttpResponse {
    see_other("/campaigns")
}

#[derive(Template)]
#[template(path = "shared/_demo.html")]
struct Demo {
    progress: DemoProgress,
}

/// How far the demo is, asked for by the pages that say so. The list that fills up is shown anew at the end.
#[get("/demo")]
async fn demo(app: Data<App>, by: May<View>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let _ = by;
    if let Some(progress) = app.pulse.demo() {
        return page(&Demo { progress });
    }
    let url = req.headers().get("HX-Current-URL").and_then(|url| url.to_str().ok()?.parse::<Uri>().ok());
    let mut answer = HttpResponse::Ok();
    if url.is_some_and(|url| url.path() == "/campaigns") {
        answer.insert_header(("HX-Refresh", "true"));
    }
    Ok(answer
        .content_type(ContentType::html())
        .body(r#"<p class="note good">The demo is there. <a href="/campaigns">See its campaigns</a></p>"#))
}

/// The process answers.
#[route("/healthz", method = "GET", method = "HEAD")]
async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// How long the database, or the engine, may be silent before we are not ready.
const SILENT: Duration = Duration::from_secs(5);
const IDLE_ENGINE: Duration = Duration::from_secs(15);

/// The process answers, its database does, and its engine looks for what is due. Nobody
/// who asks costs the database anything, where somebody asks it for the time anyway.
#[route("/readyz", method = "GET", method = "HEAD")]
async fn ready(app: Data<App>) -> HttpResponse {
    let answers = match app.pulse.database() {
        Some(ago) => ago < SILENT,
        None => app.vital.run(|conn| conn.batch_execute("SELECT 1")).await.is_ok(),
    };
    let not_ready = |why: &'static str| {
        tracing::warn!("not ready: {why}");
        HttpResponse::ServiceUnavailable().body(format!("{why}\n"))
    };
    if app.pulse.demo().is_some_and(DemoProgress::is_under_way) {
        return HttpResponse::ServiceUnavailable().body("the demo is being written\n");
    }
    match app.pulse.engine() {
        _ if !answers => not_ready("the database does not answer"),
        Some(ago) if IDLE_ENGINE <= ago => not_ready("the engine has not looked for what is due"),
        Some(_) | None if app.pulse.is_outdated() => {
            HttpResponse::Ok().body("ready, but the programs of the private PostgreSQL were replaced: restart soon\n")
        }
        Some(_) | None => HttpResponse::Ok().body("ready\n"),
    }
}

/// For this machine, unless it was said that everybody may: they tell how much is sent, and what fails.
#[get("/metrics")]
async fn measures(app: Data<App>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let is_ours = is_local(&req) && plain_host(req.headers()).is_some();
    if !app.settings.open_metrics && !is_ours {
        return Err(Problem::NotFound);
    }
    let handle = req.app_data::<Data<Option<PrometheusHandle>>>().and_then(|handle| handle.as_ref().as_ref());
    let handle = handle.ok_or(Problem::NotFound)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render()))
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::NotFound)
}
