//! Channels of which nothing is heard any more: held, shown, and let go on by a call, by a check or by a person.

use bugle::engine::listener;
use bugle::ids::RunId;
use bugle::pacing::LatePolicy;

use crate::desk::{Desk, phones};
use crate::gateways::{Gateway, with_gateway};

impl Desk {
    /// Looks whether channels are silent. Returns how many are held from now on.
    async fn listens(&self) -> usize {
        listener::tick(&self.app).await.unwrap()
    }

    /// A campaign to so many others, and a moment in which what may leave leaves.
    async fn sends_to(&self, name: &str, from: usize, n: usize) -> RunId {
        let to = &phones(from + n)[from..];
        let (.., run) = self.campaign_to(name, to, "09:00-23:00", 6_000.0, LatePolicy::CatchUp).await;
        self.later(2);
        self.tick().await;
        run
    }

    fn open_silences(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM channel_incidents WHERE trouble = 'callbacks' AND ended_at IS NULL")
    }
}

/// A gateway that has told of a send, took twelve more, and then told nothing for a quarter of an hour.
async fn fallen_silent() -> (Desk, Gateway) {
    let (desk, gateway) = with_gateway(&[]).await;
    let first = desk.sends_to("First", 0, 1).await;
    assert_eq!(desk.is_called(&format!("/delivered?id={first}-1-1")).await.status, 200);
    desk.later(60);
    desk.sends_to("Spring", 1, 12).await;
    desk.later(14 * 60);
    assert_eq!(desk.listens().await, 0, "they may still come");
    desk.later(60);
    assert_eq!(desk.listens().await, 1);
    (desk, gateway)
}

const LABEL: &str = "nothing tells any more what becomes of messages";

#[actix_web::test]
async fn a_channel_of_which_nothing_is_heard_is_held_until_something_comes() {
    let (desk, gateway) = fallen_silent().await;
    desk.visit("/channels").await.shows("Held, no word since 2 Mar, 09:00");
    desk.visit("/channels").await.shows(&format!("{LABEL} (12 wait for a word)"));
    desk.visit(&format!("/channels/{}", desk.channel)).await.shows("Nothing leaves meanwhile");
    let asked = gateway.seen().len();
    let run = desk.sends_to("Summer", 13, 3).await;
    assert_eq!((gateway.seen().len(), desk.counts(run).unsent()), (asked, 3), "nothing leaves, and nobody is burnt");
    let waits = format!("Gateway waits: {LABEL}");
    desk.visit("/campaigns").await.shows(&waits);
    desk.later(600);
    assert_eq!(desk.listens().await, 0, "it is the same silence");
    desk.tick().await;
    assert_eq!(gateway.seen().len(), asked);

    // Whatever it says: that it calls is enough.
    assert_eq!(desk.is_called("?from=353861234567&text=hello&id=1").await.status, 200);
    desk.later(2);
    desk.tick().await;
    assert_eq!((gateway.seen().len(), desk.counts(run).accepted), (asked + 3, 3));
    desk.visit("/campaigns").await.lacks(&waits);
    desk.visit("/channels").await.lacks(LABEL);
    assert_eq!(desk.open_silences(), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM channel_incidents WHERE began_at < ended_at"), 1);
    desk.later(16 * 60);
    assert_eq!(desk.listens().await, 0, "three that nothing is said of are no sign");
}

#[actix_web::test]
async fn who_never_tells_and_who_has_nothing_to_tell_of_are_not_waited_for() {
    let (desk, _gateway) = with_gateway(&[]).await;
    desk.sends_to("Spring", 0, 20).await;
    desk.later(3_600);
    assert_eq!(desk.listens().await, 0, "it has never told of a send");
    desk.is_called("?from=353861234567&text=hello&id=1").await;
    desk.sends_to("Summer", 20, 20).await;
    desk.later(3_600);
    assert_eq!(desk.listens().await, 0, "that people write says nothing of receipts");
    desk.is_called("/delivered?id=1-1-1").await;
    desk.later(36_000);
    assert_eq!(desk.listens().await, 0, "nothing was sent since");
    assert_eq!(desk.open_silences(), 0);
}

#[actix_web::test]
async fn somebody_may_do_without_until_something_comes_whatever_else_happens_meanwhile() {
    let (desk, gateway) = fallen_silent().await;
    let noted = "SELECT count(*) AS n FROM journal WHERE why LIKE 'it sends without being told%'";
    let page = format!("/channels/{}", desk.channel);
    let answer = desk.submit(&format!("{page}/go-on")).await;
    desk.lands(answer).await.shows("It goes on without receipts");
    assert_eq!(desk.number(noted), 1);
    let run = desk.sends_to("Summer", 13, 20).await;
    assert_eq!(desk.counts(run).accepted, 20);
    desk.visit("/campaigns").await.lacks("Gateway waits");
    desk.visit("/channels").await.shows("it sends all the same");
    desk.later(1_200);
    assert_eq!((desk.listens().await, desk.open_silences()), (0, 1), "taken messages are no word");
    desk.visit("/channels").await.shows("32 wait for a word");

    // It is refused as well, and then not any more: that is another matter.
    gateway.answers(|_| Some("ERROR:14".to_owned()));
    let run = desk.sends_to("Autumn", 33, 1).await;
    desk.visit("/campaigns").await.shows("Gateway waits: the provider refuses our account");
    gateway.answers(|_| Some("OK 1".to_owned()));
    for _ in 0..40 {
        desk.later(2);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).accepted, desk.open_silences()), (1, 1));
    desk.submit(&format!("{page}/go-on")).await;
    assert_eq!(desk.number(noted), 1, "it was not held");

    // Something comes: from then on it is waited for again.
    desk.is_called("/status").await;
    assert_eq!(desk.open_silences(), 0);
    desk.later(60);
    desk.sends_to("Winter", 34, 10).await;
    desk.later(900);
    assert_eq!((desk.listens().await, desk.open_silences()), (1, 1));
}

#[actix_web::test]
async fn a_check_that_sends_nothing_lets_it_go_on() {
    let (mut desk, gateway) = fallen_silent().await;
    let page = format!("/channels/{}", desk.channel);
    let answer = desk.submit(&format!("{page}/listen")).await;
    desk.lands(answer).await.shows("does not know the address");
    assert_eq!(desk.open_silences(), 1);
    let site = Gateway::open();
    desk.is_public_at(site.url.trim_end_matches("/send"));
    site.answers(|_| Some("400 no such page".to_owned()));
    let answer = desk.submit(&format!("{page}/listen")).await;
    desk.lands(answer).await.shows("our address answers HTTP 400");
    site.answers(|_| Some(String::new()));
    let asked = gateway.seen().len();
    let answer = desk.submit(&format!("{page}/listen")).await;
    desk.lands(answer).await.shows("Calls can come in.");
    assert_eq!((desk.open_silences(), gateway.seen().len()), (0, asked));
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE why LIKE 'it can be called%'"), 1);
    let run = desk.sends_to("Summer", 13, 12).await;
    assert_eq!(desk.counts(run).accepted, 12);
    desk.later(900);
    assert_eq!(desk.listens().await, 1, "it was reached by nobody else");
}
