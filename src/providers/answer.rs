//! What a provider answered over HTTP, as it came.

use std::io::Read;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::said::{Said, header};

/// Bytes of an answer at most; what is longer is no answer to a message.
pub const LONGEST: usize = 256 * 1024;

/// An answer that came in whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        header(headers, name)
    }

    /// Its body, unpacked. `None`: it broke off, or is longer than it may be.
    pub fn text(&self) -> Option<String> {
        let told: Option<usize> = self.header("content-length").and_then(|n| n.parse().ok());
        if told.is_some_and(|told| self.body.len() < told) {
            return None;
        }
        let mut unpacked = Vec::new();
        let most = LONGEST as u64 + 1;
        match self.header("content-encoding").map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "identity") => unpacked = self.body.clone(),
            Some("gzip" | "x-gzip") => {
                flate2::read::MultiGzDecoder::new(self.body.as_slice()).take(most).read_to_end(&mut unpacked).ok()?;
            }
            Some("deflate") => {
                flate2::read::ZlibDecoder::new(self.body.as_slice()).take(most).read_to_end(&mut unpacked).ok()?;
            }
            Some(_) => return None,
        }
        if LONGEST < unpacked.len() {
            return None;
        }
        Some(match String::from_utf8(unpacked) {
            Ok(text) => text,
            Err(error) => encoding_rs::WINDOWS_1252.decode(error.as_bytes()).0.into_owned(),
        })
    }

    /// Its body as JSON, XML or a form, whatever it is. `None` where [`HttpAnswer::text`] is none, or it is
    /// none of them.
    pub fn said(&self) -> Option<Said> {
        Said::of_text(self.header("content-type").unwrap_or_default(), &self.text()?)
    }

    /// How long it asks to be left alone.
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        let told = self.header("retry-after")?.trim();
        if let Ok(seconds) = told.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let until = DateTime::parse_from_rfc2822(told).ok()?;
        // By its own clock, where it says what that is.
        let its = self.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let left = until.signed_duration_since(its.map_or(now, |date| date.to_utc()));
        Some(left.to_std().unwrap_or_default())
    }
}
