//! What a text brings along: a file of ours or a place, as a link that stands in a line of its own.
//!
//! It is part of the text, and stays a link wherever a channel carries nothing else. Where the channel can, the message
//! leaves as the file or the place itself, with the other lines as its words.

use url::Url;
use uuid::Uuid;

/// Where files of ours lie: this, their key, their name.
pub const MEDIA_PATH: &str = "/media/";
const MAP: &str = "www.openstreetmap.org";

/// What stands in a text beside its words.
#[derive(Clone, Debug, PartialEq)]
pub enum Attached {
    File(FileLink),
    Place(MapPlace),
}

/// The address of a file of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct FileLink {
    pub key: Uuid,
    pub name: String,
    /// As it stands in the text.
    pub url: String,
}

/// A place on a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapPlace {
    /// Degrees north, from -90 to 90.
    pub latitude: f64,
    /// Degrees east, from -180 to 180.
    pub longitude: f64,
}

/// A piece of a text, in its order.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Words(String),
    File(FileLink),
    Place(MapPlace),
}

impl FileLink {
    /// The file to which this is the address, whatever host it names.
    pub fn parse(url: &str) -> Option<FileLink> {
        let read = Url::parse(url).ok().filter(|it| it.scheme().starts_with("http"))?;
        let (key, name) = read.path().strip_prefix(MEDIA_PATH)?.split_once('/')?;
        let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?.into_owned();
        let is_name = !name.is_empty() && !name.contains('/');
        is_name.then_some(FileLink { key: Uuid::try_parse(key).ok()?, name, url: url.to_owned() })
    }

    /// Scheme and host of its address.
    pub fn site(&self) -> String {
        Url::parse(&self.url).map(|it| it.origin().ascii_serialization()).unwrap_or_default()
    }

    /// Where it lies, without a host.
    pub fn path(&self) -> String {
        path_of(self.key, &self.name)
    }
}

/// Where a file lies, without a host.
pub fn path_of(key: Uuid, name: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
    // These need no disguise, and people look at them.
    let name = name.replace("%2E", ".").replace("%2D", "-").replace("%5F", "_");
    format!("{MEDIA_PATH}{}/{name}", key.simple())
}

impl MapPlace {
    pub fn new(latitude: f64, longitude: f64) -> Option<MapPlace> {
        let is_there = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        is_there.then_some(MapPlace { latitude, longitude })
    }

    /// The place of a link to a map, as [`MapPlace::link`] writes it and as the map shares it.
    pub fn parse(url: &str) -> Option<MapPlace> {
        let read = Url::parse(url).ok().filter(|it| it.host_str() == Some(MAP))?;
        let degrees = |name: &str| read.query_pairs().find(|(key, _)| key == name)?.1.parse().ok();
        MapPlace::new(degrees("mlat")?, degrees("mlon")?)
    }

    /// The place of `geo:48.2,16.37`, as providers tell it.
    pub fn parse_geo(uri: &str) -> Option<MapPlace> {
        let (latitude, rest) = uri.strip_prefix("geo:")?.split_once(',')?;
        let longitude = rest.split([',', ';', '?']).next()?;
        MapPlace::new(latitude.trim().parse().ok()?, longitude.trim().parse().ok()?)
    }

    pub fn link(&self) -> String {
        let MapPlace { latitude, longitude } = self;
        // Without a `#`, which begins a field in our texts.
        format!("https://{MAP}/?mlat={latitude}&mlon={longitude}&zoom=17")
    }
}

fn parse(line: &str) -> Option<Attached> {
    let line = line.trim();
    if !line.starts_with("http") || line.contains(char::is_whitespace) {
        return None;
    }
    FileLink::parse(line).map(Attached::File).or_else(|| MapPlace::parse(line).map(Attached::Place))
}

/// The first file or place of a text, and its other lines. A second one stays a link among them.
pub fn attached(text: &str) -> Option<(Attached, String)> {
    // Most texts have none, and are asked for each message.
    if !text.contains("://") {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let (n, it) = lines.iter().enumerate().find_map(|(n, line)| Some((n, parse(line)?)))?;
    let words = lines.iter().enumerate().filter(|(other, _)| *other != n).map(|(_, line)| *line);
    Some((it, words.collect::<Vec<_>>().join("\n").trim().to_owned()))
}

/// A text in pieces, to be shown.
pub fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut words) = (Vec::new(), Vec::new());
    let flush = |words: &mut Vec<&str>, pieces: &mut Vec<Piece>| {
        let said = words.join("\n").trim().to_owned();
        words.clear();
        if !said.is_empty() {
            pieces.push(Piece::Words(said));
        }
    };
    for line in text.lines() {
        let Some(it) = parse(line) else {
            words.push(line);
            continue;
        };
        flush(&mut words, &mut pieces);
        pieces.push(match it {
            Attached::File(it) => Piece::File(it),
            Attached::Place(it) => Piece::Place(it),
        });
    }
    flush(&mut words, &mut pieces);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0f8fad5bd9cb469fa16570867728950e";

    #[test]
    fn a_link_in_a_line_of_its_own_is_what_the_text_brings() {
        let url = format!("https://bugle.example/media/{KEY}/our%20offer.pdf");
        let text = format!("Hello #name,\n\nhere it is:\n{url}\nBest, Olga");
        let (it, words) = attached(&text).unwrap();
        let Attached::File(file) = it else { panic!("no file") };
        assert_eq!((file.key.simple().to_string().as_str(), file.name.as_str()), (KEY, "our offer.pdf"));
        assert_eq!((file.url.as_str(), file.path().as_str()), (url.as_str(), &url["https://bugle.example".len()..]));
        assert_eq!(file.site(), "https://bugle.example");
        assert_eq!(words, "Hello #name,\n\nhere it is:\nBest, Olga");
        let among_words = format!("see {url} please");
        assert_eq!(attached(&among_words), None);
        assert_eq!(attached("https://bugle.example/media/x/y.png"), None);
        assert_eq!(attached("https://other.example/a.png"), None);
        let shown = pieces(&text);
        assert!(matches!(&shown[..], [Piece::Words(_), Piece::File(_), Piece::Words(last)] if last == "Best, Olga"));
    }

    #[test]
    fn only_the_first_is_brought_and_the_others_stay_links() {
        let one = format!("http://a/media/{KEY}/1.png");
        let two = format!("http://a/media/{KEY}/2.png");
        let (_, words) = attached(&format!("{one}\n{two}")).unwrap();
        assert_eq!(words, two);
    }

    #[test]
    fn a_place_is_a_link_to_a_map() {
        let place = MapPlace::new(48.2082, 16.3738).unwrap();
        assert_eq!(MapPlace::parse(&place.link()), Some(place));
        let (it, words) = attached(&format!("Our shop\n{}", place.link())).unwrap();
        assert_eq!((it, words.as_str()), (Attached::Place(place), "Our shop"));
        assert_eq!(MapPlace::parse_geo("geo:48.2082,16.3738;u=35"), Some(place));
        assert_eq!((MapPlace::new(91.0, 0.0), MapPlace::new(0.0, f64::NAN)), (None, None));
        assert_eq!(MapPlace::parse("https://www.openstreetmap.org/about"), None);
    }
}
