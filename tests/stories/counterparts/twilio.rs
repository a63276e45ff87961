//! Calls that Twilio's own library signed.

use std::process::Command;

use bugle::providers::Call;
use bugle::providers::twilio::signing::is_genuine;
use chrono::DateTime;
use serde::Deserialize;

use super::is_here;

/// Signs calls with the official library, one a line; some with ports, repeated names, empty values, no form at all.
const SIGNS: &str = r#"
import json, random, sys
from urllib.parse import urlencode
from hashlib import sha256
from twilio.request_validator import RequestValidator
random.seed(int(sys.argv[1]))
letters = "abz019 &=+%/?#äß€😀\n_-.~"
word = lambda: "".join(random.choice(letters) for _ in range(random.randint(0, 12)))
for n in range(200):
    token = "%032x" % random.getrandbits(128)
    site = random.choice(["https://bugle.example", "https://bugle.example:8443", "http://bugle.example", "http://10.0.0.7:3000"])
    url = site + "/webhooks/7" + random.choice(["", "/status?part=1-2-3", "?" + urlencode({"a": word(), "b": word()})])
    signs = RequestValidator(token)
    if n % 10 == 0:
        body = json.dumps({"text": word(), "n": n}, ensure_ascii=False)
        url += ("&" if "?" in url else "?") + "bodySHA256=" + sha256(body.encode()).hexdigest()
        signature = signs.compute_signature(url, {})
        kind = "application/json"
    else:
        fields = {}
        for _ in range(random.randint(1, 8)):
            name = random.choice(["Body", "From", "To", "Label", "MessageSid", "Ä"])
            fields.setdefault(name, []).append(word())
        class Many(dict):
            def getlist(self, name): return self[name]
        signature = signs.compute_signature(url, Many(fields))
        body = urlencode([(name, value) for name, values in fields.items() for value in values])
        kind = "application/x-www-form-urlencoded"
    print(json.dumps({"token": token, "site": site, "url": url, "body": body, "kind": kind, "signature": signature}))
"#;

#[derive(Deserialize)]
struct Signed {
    token: String,
    site: String,
    url: String,
    body: String,
    kind: String,
    signature: String,
}

#[test]
fn what_the_official_library_signed_is_believed_and_one_changed_byte_is_not() {
    let python = std::env::var("COUNTERPARTS").map_or("python3".to_owned(), |dir| format!("{dir}/bin/python"));
    let known = Command::new(&python).args(["-c", "import twilio"]).output().is_ok_and(|it| it.status.success());
    if !is_here("Twilio's library for Python", known) {
        return;
    }
    let seed = std::env::var("SEED").unwrap_or_else(|_| "1".to_owned());
    let signed = Command::new(&python).args(["-c", SIGNS, &seed]).output().unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let signed = String::from_utf8(signed.stdout).unwrap();
    let mut n = 0;
    for line in signed.lines() {
        let it: Signed = serde_json::from_str(line).unwrap();
        // As a proxy passes it on; the configured address is what counts.
        let passed_on = it.url.replace(&it.site, "http://127.0.0.1:8080");
        let check = |url: &str, body: &[u8], token: &str| {
            let headers = [("x-twilio-signature", it.signature.as_str()), ("content-type", it.kind.as_str())];
            let call = Call { method: "POST", url, headers: &headers, body, at: DateTime::UNIX_EPOCH };
            is_genuine(token, &format!("{}/webhooks/7", it.site), &call)
        };
        assert!(check(&passed_on, it.body.as_bytes(), &it.token), "{line}");
        assert!(!check(&passed_on, it.body.as_bytes(), "another token"), "{line}");
        let mut changed = it.body.clone().into_bytes();
        changed[n % it.body.len()] ^= 1;
        assert!(!check(&passed_on, &changed, &it.token), "{line}");
        n += 1;
    }
    assert_eq!(n, 200);
}
