//! An SMSC that others wrote: node-smpp, which reads what we send by its own tables. And a client that others wrote,
//! smpplib, whose octets our side reads, and which reads ours.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use bugle::deliveries::{Outcome, Show};
use bugle::ids::{ChannelId, RunId};
use bugle::pacing::LatePolicy;
use tempfile::TempDir;

use super::{Running, is_here, port, reachable};
use crate::desk::{Desk, phones};
use crate::smpp::{Reply, Smsc};

/// What it does with a message depends on the last two digits of its number. It prints each as a line of JSON.
const SERVES: &str = r#"
const smpp = require(process.argv[1] + '/node_modules/smpp');
let n = 0x7f00aa00, throttled = false;
smpp.createServer({}, session => {
  const bind = pdu => session.send(pdu.response({ command_status: pdu.password === 's3cret' ? 0 : smpp.ESME_RINVPASWD }));
  session.on('error', () => {});
  session.on('bind_transceiver', bind);
  session.on('enquire_link', pdu => session.send(pdu.response()));
  session.on('unbind', pdu => session.send(pdu.response()));
  session.on('submit_sm', pdu => {
    const short = pdu.short_message || {}, payload = pdu.message_payload || {};
    const udh = [].concat(short.udh || []).map(it => Buffer.from(it).toString('hex')).join('');
    const to = pdu.destination_addr, ending = to.slice(-2);
    console.log(JSON.stringify({
      to, udh, text: short.message || payload.message || payload, coding: pdu.data_coding, ref: pdu.sar_msg_ref_num,
      of: pdu.sar_total_segments, n: pdu.sar_segment_seqnum, ton: pdu.source_addr_ton, registered: pdu.registered_delivery,
    }));
    if (ending === '01' && !throttled) {
      throttled = true;
      return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    }
    if (ending === '02') return;
    if (ending === '03') return session.socket.destroy();
    if (ending === '04') return session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
    const id = ++n;
    session.send(pdu.response({ message_id: id.toString(16).toUpperCase() }));
    session.deliver_sm({
      source_addr: to, source_addr_ton: 1, source_addr_npi: 1, destination_addr: 'Bugle', esm_class: 4,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2603020900 done date:2603020901 stat:DELIVRD err:000 text:`,
    });
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
"#;

struct NodeSmpp {
    desk: Desk,
    dir: TempDir,
    _running: Running,
}

impl NodeSmpp {
    /// `None`: it is not installed.
    async fn start(more: &[(&str, &str)]) -> Option<NodeSmpp> {
        let home = std::env::var("COUNTERPARTS").unwrap_or_default();
        if !is_here("node-smpp", Path::new(&home).join("node_modules/smpp").exists()) {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), port().to_string());
        let log = |name: &str| File::create(dir.path().join(name)).unwrap();
        let mut command = Command::new("node");
        command.args(["-e", SERVES, &home, &port]).stdout(log("messages")).stderr(log("errors"));
        let running = Running::start(&mut command);
        reachable(port.parse().unwrap()).await;
        let mut desk = Desk::open_at("2026-03-02 09:00").await;
        let mut fields = vec![
            ("kind", "sms"),
            ("provider", "smpp"),
            ("name", "Operator"),
            ("sender", "Bugle"),
            ("host", "127.0.0.1"),
            ("port", &port),
            ("system_id", "bugle"),
            ("password", "s3cret"),
            ("ids", "hex-then-decimal"),
            ("answer_seconds", "1"),
        ];
        fields.extend(more);
        let added = desk.fill_in("/channels", &fields).await;
        assert_eq!(added.status, 303, "{}", added.html);
        desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'smpp'"));
        Some(NodeSmpp { desk, dir, _running: running })
    }

    fn messages(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join("messages")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A campaign with this text to these.
    async fn sends(&self, name: &str, text: &str, to: &[String]) -> RunId {
        let (.., run) = self.desk.campaign_to(name, to, "09:00-11:00", 6_000.0, LatePolicy::CatchUp).await;
        self.desk.sql(&format!("UPDATE schedule_runs SET body = '{text}' WHERE id = {run}"));
        run
    }

    async fn is_delivered(&self, run: RunId, n: usize) {
        let delivered = || self.desk.ledger(run, Show::Outcome(Outcome::Delivered)).len();
        self.desk.ticks_until("it is delivered", || delivered() == n).await;
    }
}

#[actix_web::test]
async fn another_smsc_reads_our_texts_and_its_receipts_find_them() {
    let Some(smsc) = NodeSmpp::start(&[]).await else { return };
    let to = phones(9);
    let texts = ["Grüße @ 5 € {ok}".to_owned(), "a€".repeat(120), "Привет 😱 ".repeat(20)];
    for (n, text) in texts.iter().enumerate() {
        let before = smsc.messages().len();
        let run = smsc.sends(&format!("Spring {n}"), text, &to[5..6]).await;
        smsc.is_delivered(run, 1).await;
        let parts = smsc.messages().split_off(before);
        let joined: String = parts.iter().map(|it| it["text"].as_str().unwrap()).collect();
        assert_eq!(&joined, text);
        assert_eq!(parts.len(), bugle::wording::split(text).len());
        for (k, part) in parts.iter().enumerate().filter(|_| parts.len() > 1) {
            let udh = part["udh"].as_str().unwrap();
            let numbers = format!("{:02x}{:02x}", parts.len(), k + 1);
            assert!(udh.contains("0003") && udh.ends_with(&numbers), "{udh}");
        }
        assert_eq!((parts[0]["ton"].as_u64(), parts[0]["registered"].as_u64()), (Some(5), Some(1)));
        assert_eq!(parts[0]["coding"].as_u64(), Some(if n == 2 { 8 } else { 0 }));
    }
    let checked = smsc.desk.submit(&format!("/channels/{}/check", smsc.desk.channel)).await;
    smsc.desk.lands(checked).await.shows("Bound to 127.0.0.1:");
}

#[actix_web::test]
async fn another_smsc_throttles_falls_silent_hangs_up_and_refuses_and_nothing_is_sent_twice() {
    let Some(smsc) = NodeSmpp::start(&[("long", "sar")]).await else { return };
    let (desk, to) = (&smsc.desk, phones(6));
    // Throttled once, then taken.
    let run = smsc.sends("Throttled", &"a".repeat(200), &to[1..2]).await;
    desk.ticks_until("it is settled", || desk.counts(run).delivered + desk.counts(run).unconfirmed == 1).await;
    let run = smsc.sends("Again", &"b".repeat(200), &to[5..6]).await;
    smsc.is_delivered(run, 1).await;
    let fields: Vec<_> = smsc.messages().into_iter().filter(|it| it["to"] == to[5].as_str()).collect();
    assert!(fields.iter().all(|it| it["of"] == 2 && it["ref"] == fields[0]["ref"] && it["udh"] == ""), "{fields:?}");
    for (name, at) in [("Silent", 2), ("Hangs up", 3)] {
        let run = smsc.sends(name, "Hello", &to[at..at + 1]).await;
        desk.ticks_until("nobody knows", || desk.counts(run).unconfirmed == 1).await;
    }
    let run = smsc.sends("Refused", "Hello", &to[4..5]).await;
    let refused = || desk.ledger(run, Show::Outcome(Outcome::Invalid)).len() == 1;
    desk.ticks_until("the number is no good", refused).await;
    let n = |at: usize| smsc.messages().iter().filter(|it| it["to"] == to[at].as_str()).count();
    assert_eq!([2, 3, 4].map(n), [1, 1, 1]);
}

#[actix_web::test]
async fn another_smsc_takes_a_long_text_whole_and_refuses_a_wrong_password() {
    let Some(smsc) = NodeSmpp::start(&[("long", "payload")]).await else { return };
    let run = smsc.sends("Whole", &"a€".repeat(120), &phones(6)[5..]).await;
    smsc.is_delivered(run, 1).await;
    assert_eq!(smsc.messages().len(), 1);
    assert_eq!(smsc.messages()[0]["text"].as_str(), Some("a€".repeat(120).as_str()));
    let Some(wrong) = NodeSmpp::start(&[("password", "another")]).await else { return };
    let checked = wrong.desk.submit(&format!("/channels/{}/check", wrong.desk.channel)).await;
    wrong.desk.lands(checked).await.shows("Not ready: 0x0000000E: the password is wrong");
}

/// Sends texts with smpplib, and prints what it is told.
const CLIENT: &str = r#"
import json, sys
import smpplib.client, smpplib.gsm
client = smpplib.client.Client("127.0.0.1", int(sys.argv[1]), timeout=10, allow_unknown_opt_params=True)
told = []
client.set_message_sent_handler(lambda pdu: told.append(["sent", pdu.message_id.decode()]))
client.set_message_received_handler(lambda pdu: told.append(["told", pdu.short_message.decode("latin-1")]))
client.connect()
client.bind_transceiver(system_id="bugle", password="s3cret")
n = 0
for text in json.loads(sys.argv[2]):
    parts, coding, esm_class = smpplib.gsm.make_parts(text)
    for part in parts:
        client.send_message(source_addr_ton=5, source_addr_npi=0, source_addr="Bugle", dest_addr_ton=1, dest_addr_npi=1,
                            destination_addr="353861234567", short_message=part, data_coding=coding, esm_class=esm_class,
                            registered_delivery=True)
        n += 1
while len(told) < 2 * n:
    client.read_once()
client.unbind()
client.disconnect()
print(json.dumps(told))
"#;

#[test]
fn another_client_speaks_with_our_codec() {
    use bugle::wording::letters::Letters;
    let python = std::env::var("COUNTERPARTS").map_or("python3".to_owned(), |dir| format!("{dir}/bin/python"));
    let known = Command::new(&python).args(["-c", "import smpplib"]).output().is_ok_and(|it| it.status.success());
    if !is_here("smpplib", known) {
        return;
    }
    let smsc = Smsc::open();
    let mut n = 0;
    smsc.replies(move |_| {
        n += 1;
        Reply::TakesAndTells(format!("7f{n:02}"), format!("7f{n:02}"))
    });
    let texts = ["Grüße @ 5 € {ok}".to_owned(), "a€".repeat(120), "При ".repeat(40)];
    let asked = serde_json::to_string(&texts).unwrap();
    let said = Command::new(&python).args(["-c", CLIENT, &smsc.port.to_string(), &asked]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));

    // What it sent is what we read, part after part.
    let messages = smsc.messages();
    let mut read: Vec<String> = Vec::new();
    for it in &messages {
        let skip = if it.esm_class & 0x40 != 0 { 1 + usize::from(it.short[0]) } else { 0 };
        let octets = &it.short[skip..];
        let text = match it.data_coding {
            8 => Letters::Ucs2.decode(octets),
            _ => Letters::Gsm.decode(octets),
        };
        match (skip > 0 && it.short[skip - 1] > 1, read.last_mut()) {
            (true, Some(begun)) => begun.push_str(&text),
            _ => read.push(text),
        }
        assert_eq!((it.from.ton, it.to.address.as_str(), it.registered), (5, "353861234567", 1));
    }
    assert_eq!(read, texts);
    // And it reads our answers and our receipts.
    let told: Vec<(String, String)> = serde_json::from_slice(&said.stdout).unwrap();
    let of = |what: &str| told.iter().filter(|(it, _)| it == what).map(|(_, it)| it.clone()).collect::<Vec<_>>();
    let ids: Vec<String> = (1..=messages.len()).map(|n| format!("7f{n:02}")).collect();
    assert_eq!(of("sent"), ids);
    assert!(
        of("told")
            .iter()
            .zip(&ids)
            .all(|(it, id)| it.starts_with(&format!("id:{id} sub:001")) && it.contains("stat:DELIVRD"))
    );
}
