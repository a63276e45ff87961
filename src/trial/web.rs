use std::time::Duration;

use actix_web::web::{Data, Form, Path, ServiceConfig};
use actix_web::{HttpResponse, post};
use chrono::TimeDelta;
use serde::Deserialize;
use tokio::time::timeout;

use crate::access::Administer;
use crate::app::App;
use crate::channels::setups;
use crate::contacts::addresses::normalise;
use crate::contacts::store::is_barred;
use crate::ids::{ChannelId, MessageId};
use crate::journal::{self, Entry, Happened};
use crate::providers::key::MessageKey;
use crate::providers::{Envelope, SendOutcome};
use crate::web::{May, Problem, Say, see_other};
use crate::wording::Content;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(check).service(test);
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
    say.that(match timeout(PATIENCE, adapter.check()).await {
        Ok(Some(Ok(well))) => well,
        Ok(Some(Err(wrong))) => format!("Not ready: {wrong}"),
        Ok(None) => "This channel has no account to check.".to_owned(),
        Err(_) => "Not ready: no answer in 30 seconds.".to_owned(),
    });
    Ok(back(id))
}

#[derive(Deserialize)]
struct TestForm {
    to: String,
    text: String,
}

/// Longest test message, in characters.
const LONGEST: usize = 500;

#[post("/channels/{id}/test")]
async fn test(
    may: May<Administer>,
    app: Data<App>,
    say: Say,
    id: Path<ChannelId>,
    form: Form<TestForm>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    let setup = app.db.run(move |conn| setups::find(conn, id)).await?;
    let region = setup.settings.get("region").and_then(|it| it.as_str()).unwrap_or_default().to_owned();
    let to = match normalise(setup.kind, &form.to, &region) {
        Ok(to) => to,
        Err(problem) => {
            say.that(format!("Nothing was sent. {}", problem.says(setup.kind, &form.to, &region)));
            return Ok(back(id));
        }
    };
    let text: String = form.text.trim().chars().take(LONGEST).collect();
    if text.is_empty() {
        say.that("Nothing was sent: there is no text.");
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
        say.that("Nothing was sent: this number has opted out, or is on the blocklist.");
        return Ok(back(id));
    }
    // Nobody's: what is told of it later finds nothing.
    let key = MessageKey { id: MessageId(0), attempt: 1 }.into();
    let envelope = Envelope { key, to, content: Content::Text(text), expires_at: now + TimeDelta::minutes(10) };
    let sent = timeout(PATIENCE, (app.providers)(&setup).send(&envelope, &|| true)).await;
    say.that(match sent {
        Ok(Some(SendOutcome::Accepted { provider_ref })) => match provider_ref {
            Some(reference) => format!("The provider took it, as {reference}. Look at your phone."),
            None => "The provider took it. Look at your phone.".to_owned(),
        },
        Ok(Some(SendOutcome::Rejected { class, code })) => {
            format!("The provider refused it: {} ({code}).", class.label())
        }
        Ok(Some(SendOutcome::RetryLater { code, .. })) => format!("The provider did not take it just now: {code}."),
        Ok(Some(SendOutcome::Unknown { code })) => {
            format!("No answer that can be believed ({code}). It may arrive: look at your phone.")
        }
        Ok(None) => "Nothing was sent.".to_owned(),
        Err(_) => "No answer in 30 seconds. It may arrive: look at your phone.".to_owned(),
    });
    Ok(back(id))
}
