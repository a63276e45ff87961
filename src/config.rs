//! Settings that the rest of the product reads. They come from flags or `BUGLE_*`
//! variables (`main.rs`) and are checked once, at start.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use chrono_tz::Tz;

use crate::keyring::Keyring;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers find us, such as `https://bugle.example.org`; `None` when
    /// requests come straight to us and their `Host` can be believed.
    pub public_url: Option<String>,
    /// Proxies whose word about whom they speak for is believed; empty: those in our own networks.
    pub trusted_proxies: Vec<Network>,
    /// Whether everybody may read the metrics, and not only this machine.
    pub open_metrics: bool,
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
    /// Under which credentials of channels are kept.
    pub keyring: Keyring,
    /// Networks of our own in which gateways of channels may stand; nothing else in there is called.
    pub internal_gateways: Vec<Network>,
    /// Where the first password is written down until it is changed; `None` with a database of somebody else's.
    pub first_password: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            trusted_proxies: Vec::new(),
            open_metrics: false,
            secure_cookies: false,
            time_zone: chrono_tz::UTC,
            in_flight: 64,
            pages: true,
            several_hosts: false,
            static_dir: static_dir(),
            keyring: Keyring::default(),
            internal_gateways: Vec::new(),
            first_password: None,
        }
    }
}

impl Settings {
    /// Whether the word of this peer is believed about whom it speaks for. Without a public
    /// URL there is no proxy.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match self.trusted_proxies.is_empty() {
            true => self.public_url.is_some() && is_near(peer),
            false => self.public_url.is_some() && self.trusted_proxies.iter().any(|network| network.holds(peer)),
        }
    }
}

/// Whether an address is of this machine, or of a private network.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// One address, or all that begin with the same bits: `192.0.2.7`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(it)) => (ours.to_bits() ^ it.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V6(ours), IpAddr::V6(it)) => (ours.to_bits() ^ it.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("“{text}” is no address and no network; write one as 192.0.2.7 or 10.0.0.0/8");
        let (address, bits) = text.trim().split_once('/').map_or((text.trim(), None), |(it, bits)| (it, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most).ok_or_else(wrong)?;
        Ok(Network { address, bits })
    }
}

/// Beside the source where there is one, else in the current folder.
fn static_dir() -> PathBuf {
    let beside_the_source = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/static"));
    if beside_the_source.is_dir() { beside_the_source } else { PathBuf::from("static") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_like_it() {
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1"));
        for wrong in ["", "bugle.test", "10.0.0.0/33", "10.0.0.0/", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
