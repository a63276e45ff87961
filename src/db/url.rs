//! Where the database is, in libpq's words, and how long to wait for it.

/// What libpq is told unless the address says otherwise, and what for. A host that
/// vanishes, a cable that is cut and a server that accepts and says nothing are all
/// noticed within about ten seconds; a server whose host lives while it stands still
/// is noticed by the deadline of whatever waits for it.
const DEADLINES: [(&str, &str); 5] = [
    // Seconds for each host of the address.
    ("connect_timeout", "3"),
    // Seconds of silence before the first question whether the other end is there, and between them.
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    // Milliseconds that what we sent may stay unacknowledged.
    ("tcp_user_timeout", "8000"),
];

/// The same address with the deadlines that it lacks.
pub fn with_deadlines(url: &str) -> String {
    let mut url = url.trim().to_owned();
    let is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    for (name, value) in DEADLINES {
        if says(&url, is_uri, name) {
            continue;
        }
        let joint = match is_uri {
            true if url.contains('?') => "&",
            true => "?",
            false => " ",
        };
        url.push_str(&format!("{joint}{name}={value}"));
    }
    url
}

/// Whether the address sets this parameter.
fn says(url: &str, is_uri: bool, name: &str) -> bool {
    let names_it = |word: &str| word.split_once('=').is_some_and(|(key, _)| key.trim() == name);
    match is_uri {
        true => url.split_once('?').is_some_and(|(_, query)| query.split('&').any(names_it)),
        false => url.split_whitespace().any(names_it),
    }
}

#[cfg(test)]
mod tests {
    use super::with_deadlines;

    #[test]
    fn an_address_gets_the_deadlines_it_lacks_and_keeps_those_it_has() {
        let all = "connect_timeout=3&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=8000";
        assert_eq!(with_deadlines("postgres://db/bugle"), format!("postgres://db/bugle?{all}"));
        let two = "postgresql://a,b/bugle?target_session_attrs=read-write&connect_timeout=9";
        assert_eq!(with_deadlines(two), format!("{two}&{}", all.split_once('&').unwrap().1));
        let words = "host=/run/postgresql user=bugle";
        assert_eq!(with_deadlines(words), format!("{words} {}", all.replace('&', " ")));
        assert_eq!(with_deadlines(&with_deadlines(words)), with_deadlines(words));
    }

    #[test]
    fn libpq_understands_what_was_added() {
        use diesel::{Connection, PgConnection};
        for url in ["postgres://127.0.0.1:1/bugle?sslmode=disable", "host=127.0.0.1 port=1 dbname=bugle"] {
            let told =
                PgConnection::establish(&with_deadlines(url)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains("refused"), "{told}");
        }
    }
}
