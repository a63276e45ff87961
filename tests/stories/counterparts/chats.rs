//! Calls that were signed and read by others: Viber's own library, and pywa for Meta.

use std::process::Command;

use bugle::providers::credentials::Credentials;
use bugle::providers::{Call, meta, viber};
use chrono::DateTime;
use serde::Deserialize;

use super::is_here;

/// Signs calls with what Viber gives to its customers, and looks whether it would believe ours.
const VIBER_SIGNS: &str = r#"
import json, random, sys
from viberbot import Api
from viberbot.api.bot_configuration import BotConfiguration
random.seed(int(sys.argv[1]))
letters = "abz019 &=+%/?#äß€😀\n\\\"_-.~"
word = lambda: "".join(random.choice(letters) for _ in range(random.randint(0, 40)))
for n in range(200):
    token = "%016x-%016x-%016x" % tuple(random.getrandbits(64) for _ in range(3))
    body = json.dumps({"event": "message", "message_token": random.getrandbits(63), "sender": {"id": word()},
                       "message": {"type": "text", "text": word()}}, ensure_ascii=n % 2 == 0)
    bot = Api(BotConfiguration(name="Bugle", avatar="", auth_token=token))
    signature = bot._calculate_message_signature(body.encode())
    believes = bot.verify_signature(body.encode(), signature)
    changed = bytearray(body.encode()); changed[n % len(changed)] ^= 1
    doubts = not bot.verify_signature(bytes(changed), signature)
    print(json.dumps({"secret": token, "body": body, "signature": signature, "agreed": believes and doubts}))
"#;

/// Signs calls as Meta does and asks pywa, which others wrote, whether it would believe them.
const META_SIGNS: &str = r#"
import hmac, json, random, sys
from hashlib import sha256
from pywa.utils import webhook_updates_validator
random.seed(int(sys.argv[1]))
letters = "abz019 &=+%/?#äß€😀\n\\\"_-.~"
word = lambda: "".join(random.choice(letters) for _ in range(random.randint(0, 40)))
for n in range(200):
    secret = "%032x" % random.getrandbits(128)
    value = {"messaging_product": "whatsapp", "messages": [{"from": "1", "id": word(), "type": "text", "text": {"body": word()}}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]},
                      ensure_ascii=n % 2 == 0)
    signature = "sha256=" + hmac.new(secret.encode(), body.encode(), sha256).hexdigest()
    believes = webhook_updates_validator(app_secret=secret, request_body=body.encode(), x_hub_signature=signature)
    changed = bytearray(body.encode()); changed[n % len(changed)] ^= 1
    doubts = not webhook_updates_validator(app_secret=secret, request_body=bytes(changed), x_hub_signature=signature)
    print(json.dumps({"secret": secret, "body": body, "signature": signature, "agreed": believes and doubts}))
"#;

#[derive(Deserialize)]
struct Signed {
    secret: String,
    body: String,
    signature: String,
    /// The library believes it as well, and not with one byte changed.
    agreed: bool,
}

/// What a script of a library signed. Nothing where that is not here.
fn signed(what: &str, module: &str, script: &str) -> Option<Vec<Signed>> {
    let python = std::env::var("COUNTERPARTS").map_or("python3".to_owned(), |dir| format!("{dir}/bin/python"));
    let import = format!("import {module}");
    let known = Command::new(&python).args(["-c", &import]).output().is_ok_and(|it| it.status.success());
    if !is_here(what, known) {
        return None;
    }
    let seed = std::env::var("SEED").unwrap_or_else(|_| "1".to_owned());
    let signed = Command::new(&python).args(["-c", script, &seed]).output().unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let signed = String::from_utf8(signed.stdout).unwrap();
    Some(signed.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Each is believed as it came, and neither with another secret nor with one byte changed.
fn must_agree(signed: &[Signed], header: &str, secret: &str, is_genuine: fn(&Credentials, &Call<'_>) -> bool) {
    assert_eq!(signed.len(), 200);
    for (n, it) in signed.iter().enumerate() {
        let check = |known: &str, body: &[u8]| {
            let headers = [(header, it.signature.as_str())];
            let call = Call { method: "POST", url: "/webhooks/7", headers: &headers, body, at: DateTime::UNIX_EPOCH };
            is_genuine(&Credentials::from([(secret, known)]), &call)
        };
        assert!(it.agreed && check(&it.secret, it.body.as_bytes()), "{}", it.body);
        assert!(check(&format!("new {}", it.secret), it.body.as_bytes()), "while the secret is changed");
        assert!(!check("another secret", it.body.as_bytes()) && !check("", it.body.as_bytes()));
        let mut changed = it.body.clone().into_bytes();
        let at = n % changed.len();
        changed[at] ^= 1;
        assert!(!check(&it.secret, &changed), "{}", it.body);
    }
}

#[test]
fn what_vibers_library_signed_is_believed_and_one_changed_byte_is_not() {
    if let Some(signed) = signed("Viber's library for Python", "viberbot", VIBER_SIGNS) {
        must_agree(&signed, "x-viber-content-signature", "auth_token", viber::is_genuine);
    }
}

#[test]
fn what_pywa_believes_of_meta_is_believed_and_one_changed_byte_is_not() {
    if let Some(signed) = signed("pywa", "pywa", META_SIGNS) {
        must_agree(&signed, "x-hub-signature-256", "app_secret", meta::is_genuine);
    }
}
