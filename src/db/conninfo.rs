//! What a connection string says, read by libpq itself, and whether it may be used.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::net::IpAddr;
use std::ptr;

/// Why a connection string is not used. Never shows the string: a password may stand in it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(
        "DATABASE_URL cannot be understood (it is not shown here, since a password may stand in it). Write \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE, and in the password %40 for @, %3A for :, %2F for /, %3F for ? and \
         %25 for %."
    )]
    Unreadable,
    #[error(
        "{host} is another machine, and with sslmode={mode} the connection to it may go unencrypted. Say sslmode=require in \
         DATABASE_URL, or better sslmode=verify-full with sslrootcert; or --plaintext-database where nobody can listen in."
    )]
    Plaintext { host: String, mode: String },
    #[error(
        "{host} is another machine, and this Bugle was built without TLS, so that the connection to it would go \
         unencrypted. Use one built with `--features tls`; or say --plaintext-database where nobody can listen in."
    )]
    NoTls { host: String },
}

/// `url` as it may be used. To another machine it is encrypted, unless `plaintext` is allowed:
/// what says nothing of it is given `sslmode=require`.
pub fn settle(url: &str, plaintext: bool) -> Result<String, Refused> {
    let said = read(url)?;
    match said.hosts().into_iter().find(|host| is_remote(host)) {
        Some(host) if !plaintext => encrypted(url, &said, host),
        Some(_) | None => Ok(url.to_owned()),
    }
}

fn encrypted(url: &str, said: &Said, host: String) -> Result<String, Refused> {
    if cfg!(not(feature = "tls")) {
        return Err(Refused::NoTls { host });
    }
    match said.get("sslmode", "PGSSLMODE").as_deref() {
        Some("require" | "verify-ca" | "verify-full") => Ok(url.to_owned()),
        Some(mode) => Err(Refused::Plaintext { host, mode: mode.to_owned() }),
        // libpq checks names by itself when it is to trust the system's authorities.
        None if said.get("sslrootcert", "PGSSLROOTCERT").as_deref() == Some("system") => Ok(url.to_owned()),
        None => Ok(with(url, "sslmode", "require")),
    }
}

/// `url` with one more parameter, whose value needs no quoting.
fn with(url: &str, name: &str, value: &str) -> String {
    let glue = match (is_uri(url), url.contains('?')) {
        (true, true) => '&',
        (true, false) => '?',
        (false, _) => ' ',
    };
    format!("{url}{glue}{name}={value}")
}

fn is_uri(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether what is said to `host` leaves this machine.
fn is_remote(host: &str) -> bool {
    let is_socket = host.is_empty() || host.starts_with('/') || host.starts_with('@');
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => !is_socket && host != "localhost",
    }
}

struct Said(HashMap<String, String>);

impl Said {
    /// A parameter of the string, or else the variable that libpq takes it from.
    fn get(&self, name: &str, variable: &str) -> Option<String> {
        self.0.get(name).cloned().or_else(|| std::env::var(variable).ok()).filter(|value| !value.is_empty())
    }

    /// Where connections go. A named service may be anywhere.
    fn hosts(&self) -> Vec<String> {
        let named = self.get("hostaddr", "PGHOSTADDR").or_else(|| self.get("host", "PGHOST"));
        let service = self.get("service", "PGSERVICE");
        let hosts = named.or(service).unwrap_or_default();
        hosts.split(',').map(|host| host.trim().to_owned()).collect()
    }
}

fn read(url: &str) -> Result<Said, Refused> {
    let said = parse(url).ok_or(Refused::Unreadable)?;
    // A password that is not written as it should be spills over into what follows, and from there into messages.
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    let spilt_host = said.hosts().iter().any(|host| host.contains('@') && !host.starts_with('@'));
    let spilt_port = said.get("port", "PGPORT").is_some_and(|ports| !ports.split(',').all(is_port));
    let spilt_name = is_uri(url) && said.0.get("dbname").is_some_and(|name| name.contains('@'));
    // libpq understands it, but nobody can add a parameter behind it.
    let bare_mark = is_uri(url) && said.0.get("password").is_some_and(|it| it.contains('?') && url.contains(it));
    if spilt_host || spilt_port || spilt_name || bare_mark { Err(Refused::Unreadable) } else { Ok(said) }
}

/// The parameters that stand in `url`; `None` when it makes no sense to libpq.
fn parse(url: &str) -> Option<Said> {
    let text = CString::new(url).ok()?;
    let (mut said, mut trouble) = (HashMap::new(), ptr::null_mut());
    // SAFETY: the string outlives the call; what libpq returns is a list that ends with an empty
    // keyword, and is only read before it is given back.
    unsafe {
        let options = pq_sys::PQconninfoParse(text.as_ptr(), &mut trouble);
        if options.is_null() {
            pq_sys::PQfreemem(trouble.cast());
            return None;
        }
        let mut option = options;
        while !(*option).keyword.is_null() {
            if !(*option).val.is_null() {
                let word = |it| CStr::from_ptr(it).to_string_lossy().into_owned();
                said.insert(word((*option).keyword), word((*option).val));
            }
            option = option.add(1);
        }
        pq_sys::PQconninfoFree(options);
    }
    Some(Said(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: [&str; 8] = [
        "postgres://bugle@localhost/bugle",
        "postgres://bugle:secret@127.0.0.1:5433/bugle?connect_timeout=3",
        "postgres://[::1]/bugle",
        "postgres:///bugle?host=/run/postgresql",
        "postgres://%2Frun%2Fpostgresql/bugle",
        "host=/tmp/socket user=bugle dbname=bugle",
        "host=localhost,127.0.0.2 dbname=bugle",
        "host=db.example.org hostaddr=127.0.0.1 dbname=bugle",
    ];
    const FAR: [&str; 5] = [
        "postgres://bugle@db/bugle",
        "postgres://bugle@192.168.1.4:5432/bugle",
        "host=localhost,db.example.org dbname=bugle",
        "host=localhost hostaddr=10.0.0.7 dbname=bugle",
        "service=production",
    ];

    #[test]
    fn what_stays_on_this_machine_is_left_as_it_is() {
        for url in NEAR {
            assert_eq!(settle(url, false).as_deref(), Ok(url));
        }
    }

    #[test]
    fn another_machine_is_spoken_to_encrypted_or_not_at_all_unless_said() {
        for url in FAR {
            assert_eq!(settle(url, true).as_deref(), Ok(url));
            match settle(url, false) {
                Ok(settled) => assert!(cfg!(feature = "tls") && settled.contains("sslmode=require"), "{settled}"),
                Err(refused) => {
                    assert!(cfg!(not(feature = "tls")) && matches!(refused, Refused::NoTls { .. }), "{refused}");
                }
            }
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_mode_that_may_go_without_is_refused_and_a_stricter_one_kept() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("postgres://bugle@db/bugle?sslmode={mode}");
            assert_eq!(settle(&url, false), Ok(url));
        }
        for mode in ["disable", "allow", "prefer"] {
            let refused = settle(&format!("host=db dbname=bugle sslmode={mode}"), false).unwrap_err();
            assert_eq!(refused, Refused::Plaintext { host: "db".to_owned(), mode: mode.to_owned() });
        }
        assert!(!settle("postgres://db/bugle?sslrootcert=system", false).unwrap().contains("sslmode"));
    }

    #[test]
    fn a_password_in_an_unreadable_string_is_not_shown() {
        for url in [
            "postgres//bugle:hunter2@db/bugle",
            "host=db password=hunter2 and more",
            "postgres://bugle:hun@ter2@db/bugle",
            "postgres://bugle:hun/ter2@db/bugle",
            "postgres://bugle:hun?ter2@db/bugle",
            "postgres://bugle:hun%ter2@db/bugle",
            "postgres://bugle:hun:ter2@db:port/bugle",
        ] {
            let refused = settle(url, true).unwrap_err();
            assert_eq!(refused, Refused::Unreadable, "{url}");
            assert!(!refused.to_string().contains("hun") && !refused.to_string().contains("ter2"));
        }
    }
}
