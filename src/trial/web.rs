use std::time::Duration;

use actix_session::Session;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use actix_web::{HttpResponse, post};
use chrono::TimeDelta;
use tokio::time::timeout;

use crate::access::Administer;
use crate::app::App;
use crate::channels::actions::{HeardAgain, let_go_on};
use crate::channels::domain::TestTyped;
use crate::channels::fetch::fetch_reach;
use crate::channels::{incidents, reach, references, setups};
use crate::contacts::addresses::normalise;
use crate::contacts::store::is_barred;
use crate::ids::{ChannelId, MessageId};
use crate::journal::{self, Entry, Happened};
use crate::providers::accounts::hook;
use crate::providers::caller::{Caller, HttpAsk};
use crate::providers::key::MessageKey;
use crate::providers::{Envelope, SendOutcome, Setup};
use crate::web::chart::thousands;
use crate::web::{May, Problem, Say, see_other, tell_once};
use crate::wording::Content;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(check).service(tell_address).service(listen).service(go_on).service(test);
}

/// How long a person waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

fn back(id: ChannelId) -> HttpResponse {
    see_other(format!("/channels/{id}#try"))
}

#[post("/channels/{id}/check")]
async fn check(_may: May<Administer>, app: Data<App>, say: Say, id: Path<ChannelId>) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let setup = app.db.run(move |conn| setups::find(conn, id)).await?;
    let adapter = (app.providers)(&setup);
    match timeout(PATIENCE, adapter.check()).await {
        Ok(Some(Ok(well))) => {
            fetch_reach(&app, id, &*adapter).await?;
            let reach = app.db.run(move |conn| reach::of_channel(conn, id)).await?;
            say.that(match reach {
                Some(it) => format!("{well} It may write to {} new people a day.", thousands(it.limit)),
                None => well,
            });
        }
        Ok(Some(Err(wrong))) => say.sorry(format!("Not ready: {wrong}")),
        Ok(None) => say.sorry("This channel has no account to check."),
        Err(_) => say.sorry("Not ready: no answer in 30 seconds."),
    }
    Ok(back(id))
}

/// Tells the provider where it finds us.
#[post("/channels/{id}/tell-address")]
async fn tell_address(
    may: May<Administer>,
    app: Data<App>,
    say: Say,
    id: Path<ChannelId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let setup = app.db.run(move |conn| setups::find(conn, id)).await?;
    let adapter = (app.providers)(&setup);
    let told = match timeout(PATIENCE, adapter.tell_address()).await {
        Ok(Some(told)) => told,
        Ok(None) => {
            say.sorry("Nothing to tell: the address of this channel is entered on the provider's side.");
            return Ok(back(id));
        }
        Err(_) => Err("no answer in 30 seconds.".to_owned()),
    };
    // Whatever came of it: it may have been taken.
    let why = "its provider was asked to call this address";
    app.db.run(move |conn| journal::note(conn, Entry::new(Happened::ChannelChanged, id, by).why(why), now)).await?;
    match told {
        Ok(well) => say.that(well),
        Err(wrong) => say.sorry(format!("Not told: {wrong}")),
    }
    Ok(see_other(format!("/channels/{id}#other-side")))
}

/// Whether something can be heard of a channel, without sending anything: its line is up, its provider has just been told
/// our address, or our address answers as anybody finds it.
async fn can_be_heard(app: &App, setup: &Setup) -> Result<(), String> {
    let adapter = (app.providers)(setup);
    if adapter.able().held_once {
        return adapter.check().await.unwrap_or_else(|| Err("it has no line.".to_owned())).map(drop);
    }
    if let Some(told) = adapter.tell_address().await {
        return told.map(drop);
    }
    let hook = hook(app.settings.public_url.as_deref(), setup);
    if !hook.is_public {
        return Err("Bugle does not know the address at which it can be called. Start it with --public-url.".to_owned());
    }
    let ask = HttpAsk { method: "GET".to_owned(), url: hook.url, ..HttpAsk::default() };
    let caller = Caller::new(app.settings.internal_gateways.clone());
    match caller.ask(&ask, &|| true).await {
        // We do not believe whoever has not signed.
        Some(Ok(answer)) if (200..=299).contains(&answer.status) || answer.status == 401 => Ok(()),
        Some(Ok(answer)) => Err(format!("our address answers HTTP {}.", answer.status)),
        Some(Err(unanswered)) => Err(format!("our address cannot be reached from here: {}.", unanswered.words())),
        None => Err("nobody was asked.".to_owned()),
    }
}

/// Lets a channel send again of which nothing is heard, if something could be.
#[post("/channels/{id}/listen")]
async fn listen(may: May<Administer>, app: Data<App>, say: Say, id: Path<ChannelId>) -> Result<HttpResponse, Problem> {
    let (id, by) = (id.into_inner(), may.person.id);
    let setup = app.db.run(move |conn| setups::find(conn, id)).await?;
    let found = timeout(PATIENCE, can_be_heard(&app, &setup)).await;
    match found.unwrap_or_else(|_| Err("no answer in 30 seconds.".to_owned())) {
        Ok(()) => {
            let now = app.clock.now();
            app.db.run(move |conn| let_go_on(conn, id, HeardAgain::Checked, by, now)).await?;
            say.that("Calls can come in. What waits goes on, and is held again if nothing is told of it.");
        }
        Err(wrong) => say.sorry(format!("Still held: {wrong}")),
    }
    Ok(see_other(format!("/channels/{id}#silence")))
}

/// Lets a channel send without being told what becomes of messages.
#[post("/channels/{id}/go-on")]
async fn go_on(may: May<Administer>, app: Data<App>, say: Say, id: Path<ChannelId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    match app.db.run(move |conn| let_go_on(conn, id, HeardAgain::Waived, by, now)).await? {
        true => say.that("It goes on without receipts, until something comes again."),
        false => say.sorry("It is not held for that any more."),
    }
    Ok(see_other(format!("/channels/{id}#silence")))
}

/// Longest test message, in characters.
const LONGEST: usize = 500;

#[post("/channels/{id}/test")]
async fn test(
    may: May<Administer>,
    app: Data<App>,
    say: Say,
    id: Path<ChannelId>,
    session: Session,
    form: Form<TestTyped>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    tell_once(&session, &format!("/channels/{id}"), &*form)?;
    let setup = app.db.run(move |conn| setups::find(conn, id)).await?;
    let region = setup.settings.get("region").and_then(|it| it.as_str()).unwrap_or_default().to_owned();
    let to = match normalise(setup.kind, &form.to, &region) {
        Ok(to) => to,
        Err(problem) => {
            say.sorry(format!("Nothing was sent. {}", problem.says(setup.kind, &form.to, &region)));
            return Ok(back(id));
        }
    };
    let text: String = form.text.trim().chars().take(LONGEST).collect();
    if text.is_empty() {
        say.sorry("Nothing was sent: there is no text.");
        return Ok(back(id));
    }
    let (kind, whom, by) = (setup.kind, to.clone(), may.person.id);
    let barred = app
        .db
        .run(move |conn| {
            let barred = is_barred(conn, kind, &whom, now)?;
            if !barred {
                journal::note(conn, Entry::new(Happened::ChannelTried, id, by), now)?;
            }
            diesel::QueryResult::Ok(barred)
        })
        .await?;
    if barred {
        say.sorry("Nothing was sent: this number has opted out, or is on the blocklist.");
        return Ok(back(id));
    }
    // Nobody's: what is told of it later finds nothing.
    let key = MessageKey { id: MessageId(0), attempt: 1 }.into();
    let envelope = Envelope { key, to, content: Content::Text(text), expires_at: now + TimeDelta::minutes(10) };
    let adapter = (app.providers)(&setup);
    let sent = timeout(PATIENCE, adapter.send(&envelope, &|| true)).await;
    if let Ok(Some(SendOutcome::Accepted { provider_ref })) = &sent {
        let now = app.clock.now();
        // Known for nobody's, so that it is not taken for a send that had no answer.
        let reference = provider_ref.clone().filter(|_| adapter.able().tells_by_reference);
        let reference: Vec<_> = reference.into_iter().map(|it| (id, it, key)).collect();
        app.db
            .run(move |conn| {
                if !reference.is_empty() {
                    references::remember(conn, &reference, now)?;
                }
                incidents::end(conn, id, now)
            })
            .await?;
    }
    match sent {
        Ok(Some(SendOutcome::Accepted { provider_ref: Some(reference) })) => {
            say.that(format!("The provider took it, as {reference}. Look at your phone."));
        }
        Ok(Some(SendOutcome::Accepted { provider_ref: None })) => say.that("The provider took it. Look at your phone."),
        Ok(Some(SendOutcome::Rejected { class, code })) => {
            say.sorry(format!("The provider refused it: {} ({code}).", class.label()));
        }
        Ok(Some(SendOutcome::RetryLater { code, .. })) => {
            say.sorry(format!("The provider did not take it just now: {code}."));
        }
        Ok(Some(SendOutcome::Unknown { code })) => {
            say.sorry(format!("No answer that can be believed ({code}). It may arrive: look at your phone."));
        }
        Ok(None) => say.sorry("Nothing was sent."),
        Err(_) => say.sorry("No answer in 30 seconds. It may arrive: look at your phone."),
    }
    Ok(back(id))
}
