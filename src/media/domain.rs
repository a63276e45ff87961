//! What a file is, by its octets and not by what anybody says of it.

use crate::providers::media::not_carried;
use crate::providers::{Kind, ProviderName};
use crate::wording::{FileLink, FileLook, MediaFile, path_of};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Bytes of a file at most. WhatsApp carries sounds and videos up to as much.
pub const LARGEST: u64 = 16 << 20;
/// Characters of a name, its ending included.
const LONGEST_NAME: usize = 80;
/// What a program on somebody's machine would run.
const RUN: [&str; 14] =
    ["exe", "msi", "bat", "cmd", "com", "scr", "js", "vbs", "ps1", "jar", "apk", "app", "sh", "lnk"];

/// How programs begin, however short they are.
const BEGINNINGS: [&[u8]; 2] = [b"\x7fELF", b"#!"];

/// A file that we keep.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptFile {
    pub id: i64,
    pub key: Uuid,
    pub name: String,
    /// By its octets.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    pub is_public: bool,
    pub made_at: DateTime<Utc>,
}

impl KeptFile {
    /// Where it lies, without a host.
    pub fn path(&self) -> String {
        path_of(self.key, &self.name)
    }

    pub fn look(&self) -> FileLook {
        FileLook::of_type(&self.content_type)
    }

    /// As it is sent, fetched from `site`.
    pub fn sent(&self, site: &str) -> MediaFile {
        MediaFile {
            url: format!("{site}{}", self.path()),
            name: self.name.clone(),
            content_type: self.content_type.clone(),
            size: self.size,
        }
    }
}

/// A file that may be kept: what it is, and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Sniffed {
    pub content_type: String,
    /// It ends as files of its type do.
    pub name: String,
}

/// Why a file is not kept. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("The file is empty.")]
    Empty,
    #[error("The file is larger than {} MB.", LARGEST >> 20)]
    TooLarge,
    #[error("Programs are not taken: whoever opens one runs it. Send what it makes, or pack it into an archive.")]
    Program,
    #[error("Choose a file.")]
    Nothing,
}

impl crate::db::Reason for Refused {
    fn is_invalid(&self) -> bool {
        true
    }
}

/// What a file is, by its first octets; its name, which somebody gave it, decides only among plain texts.
pub fn sniff(octets: &[u8], name: &str) -> Result<Sniffed, Refused> {
    if octets.is_empty() {
        return Err(Refused::Empty);
    }
    if LARGEST < octets.len() as u64 {
        return Err(Refused::TooLarge);
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, ending.to_ascii_lowercase()),
        _ => (name, String::new()),
    };
    let known = infer::get(octets);
    let runs = known.is_some_and(|it| it.matcher_type() == infer::MatcherType::App)
        || BEGINNINGS.iter().any(|it| octets.starts_with(it))
        || (octets.starts_with(b"MZ") && octets.contains(&0))
        || RUN.contains(&ending.as_str());
    if runs {
        return Err(Refused::Program);
    }
    let (content_type, own_ending) = match known {
        // Pages and drawings that can run something in a browser: they are texts.
        Some(it) if it.mime_type().starts_with("text/") => ("text/plain", "txt"),
        Some(it) => (plain_type(it.mime_type()), it.extension()),
        None if is_text(octets) => text_type(&ending),
        None => ("application/octet-stream", ""),
    };
    // An ending that says something else would make another program open it.
    let keeps_ending = own_ending.is_empty() || same_ending(&ending, own_ending) || is_office(own_ending, &ending);
    let ending = if keeps_ending { ending.as_str() } else { own_ending };
    let stem = if stem.trim().is_empty() { "file" } else { stem.trim() };
    let stem: String = stem.chars().take(LONGEST_NAME.saturating_sub(ending.len() + 1)).collect();
    let name = if ending.is_empty() { stem } else { format!("{stem}.{ending}") };
    Ok(Sniffed { content_type: content_type.to_owned(), name })
}

fn same_ending(one: &str, other: &str) -> bool {
    let plain = |it: &str| match it {
        "jpeg" => "jpg".to_owned(),
        "tif" => "tiff".to_owned(),
        "oga" | "opus" => "ogg".to_owned(),
        other => other.to_owned(),
    };
    plain(one) == plain(other)
}

/// Documents that are archives, and so are taken for those.
fn is_office(own: &str, ending: &str) -> bool {
    own == "zip" && ["docx", "xlsx", "pptx", "odt", "ods", "odp", "epub"].contains(&ending)
}

/// As providers write it.
fn plain_type(content_type: &'static str) -> &'static str {
    match content_type {
        "audio/m4a" | "audio/x-m4a" => "audio/mp4",
        "audio/x-wav" => "audio/wav",
        "audio/x-flac" => "audio/flac",
        "application/ogg" => "audio/ogg",
        other => other,
    }
}

fn is_text(octets: &[u8]) -> bool {
    !octets.contains(&0) && std::str::from_utf8(octets).is_ok()
}

fn text_type(ending: &str) -> (&'static str, &'static str) {
    match ending {
        "csv" => ("text/csv", "csv"),
        "ics" => ("text/calendar", "ics"),
        "vcf" => ("text/vcard", "vcf"),
        _ => ("text/plain", "txt"),
    }
}

/// How what a text brings along leaves through a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileWay {
    pub words: String,
    /// Whether somebody should do something about it.
    pub warns: bool,
}

/// How a file that a text brings along leaves. `None` for `file`: there is no such file.
pub fn way_of_file(
    link: &FileLink,
    file: Option<&KeptFile>,
    words: &str,
    provider: ProviderName,
    kind: Kind,
) -> FileWay {
    let warn = |words: String| FileWay { words, warns: true };
    let Some(file) = file.filter(|file| file.is_public) else {
        return warn(format!("The file {} is not here: its link leads nowhere. Attach it again.", link.name));
    };
    let ours = matches!(provider, ProviderName::Sandbox | ProviderName::Webchat);
    if !ours && is_within(&link.url) {
        return warn(format!(
            "{} lies at an address that phones and providers cannot reach. Start Bugle with its public address, then attach the file again.",
            link.name
        ));
    }
    let (look, size) = (file.look().label(), size_in_words(file.size));
    match not_carried(provider.files(kind), &file.sent(""), words, 0) {
        None => FileWay { words: format!("{} ({size}) goes with it as a {look}.", file.name), warns: false },
        Some(why) => FileWay { words: format!("{} ({size}) goes as a link: {why}.", file.name), warns: false },
    }
}

/// The same of a place.
pub fn way_of_place(words: &str, provider: ProviderName, kind: Kind) -> FileWay {
    let words = match provider.places(kind) {
        Some(most) if words.chars().count() <= most => "The place goes as a place on the map.",
        Some(0) => "The place goes as a link: the channel sends places without words.",
        Some(_) => "The place goes as a link: it cannot have so many words as its name.",
        None => "The place goes as a link to a map.",
    };
    FileWay { words: words.to_owned(), warns: false }
}

/// Whether an address is one that only this machine or its network knows.
fn is_within(url: &str) -> bool {
    let host = url::Url::parse(url).ok().and_then(|it| it.host().map(|it| it.to_owned()));
    match host {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(it)) => it.is_loopback() || it.is_private() || it.is_unspecified() || it.is_link_local(),
        Some(url::Host::Ipv6(it)) => it.is_loopback() || it.is_unspecified() || it.is_unique_local(),
        None => true,
    }
}

/// Whether a browser may show it in the page that leads to it. Everything else is saved.
pub fn is_shown(content_type: &str) -> bool {
    let pictures = ["image/jpeg", "image/png", "image/gif", "image/webp"];
    pictures.contains(&content_type)
        || content_type.starts_with("audio/")
        || content_type.starts_with("video/")
        || content_type == "application/pdf"
}

/// How large, for people.
pub fn size_in_words(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}

/// The first and the last octet that a request wants of so many: `bytes=0-99`, `bytes=100-`, `bytes=-5`.
/// `None`: all of them.
pub fn range(header: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    if header.contains(',') || size == 0 {
        return None;
    }
    let last = size - 1;
    let wanted = match (from.trim().parse::<u64>(), to.trim()) {
        (Ok(from), "") => (from, last),
        (Ok(from), to) => (from, to.parse::<u64>().ok()?.min(last)),
        (Err(_), to) => (size.saturating_sub(to.parse::<u64>().ok()?), last),
    };
    Some(if wanted.0 <= wanted.1 && wanted.0 <= last { Ok(wanted) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_file_is_what_its_octets_are() {
        let of = |octets: &[u8], name: &str| sniff(octets, name).map(|it| (it.content_type, it.name));
        let is = |content_type: &str, name: &str| Ok((content_type.to_owned(), name.to_owned()));
        assert_eq!(of(PNG, "Offer.PNG"), is("image/png", "Offer.png"));
        assert_eq!(of(PNG, "offer.pdf"), is("image/png", "offer.png"), "whatever it says");
        assert_eq!(of(b"\xff\xd8\xff\xe0..", "a.jpeg"), is("image/jpeg", "a.jpeg"));
        assert_eq!(of(b"<html><script>alert(1)</script>", "a.html"), is("text/plain", "a.txt"));
        assert_eq!(of(b"name;phone\n", "people.csv"), is("text/csv", "people.csv"));
        assert_eq!(of(b"plain", ""), is("text/plain", "file.txt"));
        assert_eq!(of(b"PK\x03\x04\x14\0\0\0", "plan.docx"), is("application/zip", "plan.docx"));
        assert_eq!(of(b"MZ\x90\0", "photo.png"), Err(Refused::Program));
        assert_eq!(of(b"\x7fELF\x02", "a"), Err(Refused::Program));
        assert_eq!((of(b"alert(1)", "a.js"), of(b"#!/bin/sh", "a")), (Err(Refused::Program), Err(Refused::Program)));
        assert_eq!(
            (of(b"", "a.png"), of(&vec![1; LARGEST as usize + 1], "a")),
            (Err(Refused::Empty), Err(Refused::TooLarge))
        );
        assert!(of(PNG, &"x".repeat(300)).unwrap().1.len() <= LONGEST_NAME);
    }

    #[test]
    fn how_a_file_leaves_is_said_before_it_does() {
        let file = KeptFile {
            id: 1,
            key: Uuid::nil(),
            name: "offer.png".into(),
            content_type: "image/png".into(),
            size: 240 << 10,
            is_public: true,
            made_at: DateTime::UNIX_EPOCH,
        };
        let at = |site: &str| FileLink::parse(&format!("{site}{}", file.path())).unwrap();
        let way = |site: &str, provider, kind| way_of_file(&at(site), Some(&file), "Look", provider, kind);
        let whatsapp = way("https://bugle.example", ProviderName::Whatsapp, Kind::Whatsapp);
        assert_eq!((whatsapp.words.as_str(), whatsapp.warns), ("offer.png (240 KB) goes with it as a picture.", false));
        let sms = way("https://bugle.example", ProviderName::Smpp, Kind::Sms);
        assert_eq!(sms.words, "offer.png (240 KB) goes as a link: the channel carries no pictures.");
        for inside in ["http://127.0.0.1:8080", "http://localhost", "http://192.168.1.5", "http://[::1]:80"] {
            assert!(way(inside, ProviderName::Whatsapp, Kind::Whatsapp).warns, "{inside}");
            assert!(!way(inside, ProviderName::Sandbox, Kind::Whatsapp).warns, "{inside}");
        }
        let gone = way_of_file(&at("https://bugle.example"), None, "", ProviderName::Smpp, Kind::Sms);
        assert!(gone.warns && gone.words.contains("Attach it again"));
        assert!(way_of_place("", ProviderName::Viber, Kind::Viber).words.contains("on the map"));
        assert!(way_of_place("x", ProviderName::Viber, Kind::Viber).words.contains("without words"));
    }

    #[test]
    fn a_part_of_a_file_is_asked_for_in_three_ways() {
        assert_eq!(range("bytes=0-99", 50), Some(Ok((0, 49))));
        assert_eq!(range("bytes=10-", 50), Some(Ok((10, 49))));
        assert_eq!(range("bytes=-5", 50), Some(Ok((45, 49))));
        assert_eq!(range("bytes=50-", 50), Some(Err(())));
        assert_eq!(range("bytes=9-3", 50), Some(Err(())));
        assert_eq!((range("bytes=0-1,3-4", 50), range("lines=1-2", 50), range("bytes=a-b", 50)), (None, None, None));
    }

    #[test]
    fn sizes_are_told_as_people_say_them() {
        assert_eq!([9, 2000, 3 << 20].map(size_in_words), ["9 bytes", "2 KB", "3.0 MB"]);
    }
}
