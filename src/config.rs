//! Settings that the rest of the product reads. They come from flags or `BUGLE_*`
//! variables (`main.rs`) and are checked once, at start.

use std::path::PathBuf;

use chrono_tz::Tz;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers find us, such as `https://bugle.example.org`; `None` when
    /// requests come straight to us and their `Host` can be believed.
    pub public_url: Option<String>,
    /// Whether cookies are sent over TLS only.
    pub secure_cookies: bool,
    /// The zone a new campaign starts with, and the one of pages that belong to no campaign.
    pub time_zone: Tz,
    /// Sends on the wire at once, for each channel and process.
    pub in_flight: usize,
    /// Whether people are served, or only machines that ask how we are.
    pub pages: bool,
    /// Whether the database may turn out to be one of several servers.
    pub several_hosts: bool,
    /// Where style sheets, scripts and pictures lie.
    pub static_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            secure_cookies: false,
            time_zone: chrono_tz::UTC,
            in_flight: 64,
            pages: true,
            several_hosts: false,
            static_dir: static_dir(),
        }
    }
}

/// Beside the source where there is one, else in the current folder.
fn static_dir() -> PathBuf {
    let beside_the_source = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/static"));
    if beside_the_source.is_dir() { beside_the_source } else { PathBuf::from("static") }
}
