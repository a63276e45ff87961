//! What a channel of SMPP keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::hearing::Hearing;
use super::ids::IdForm;
use super::pdu::SmscAddress;
use super::statuses::StatusTable;
use super::texts::LongTexts;
use crate::wording::letters::Letters;
use crate::words::words;

words! {
    /// How an operator wants its customers bound.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum BindKind {
        #[default]
        Transceiver = "transceiver" => "Transceiver",
        Pair = "pair" => "Transmitter and receiver",
    }
}

/// What a channel keeps, its password apart, in the words of operators' connection sheets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmppSettings {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub system_id: String,
    pub system_type: String,
    pub bind: BindKind,
    /// Type and plan of the sender's number; `None`: by what it looks like.
    pub source_ton: Option<u8>,
    pub source_npi: Option<u8>,
    pub dest_ton: u8,
    pub dest_npi: u8,
    /// What `data_coding` 0 means.
    pub alphabet: Letters,
    pub long: LongTexts,
    pub ids: IdForm,
    /// Messages without an answer at most.
    pub window: u16,
    pub enquire_seconds: u16,
    pub answer_seconds: u16,
    /// Of dates in receipts.
    pub zone: Tz,
    /// The country of numbers that come without a code.
    pub region: String,
    /// What the operator means by statuses, see [`super::class::AnswerMeans::parse`].
    pub codes: BTreeMap<String, String>,
}

impl Default for SmppSettings {
    fn default() -> Self {
        SmppSettings {
            host: String::new(),
            port: 2775,
            tls: false,
            system_id: String::new(),
            system_type: String::new(),
            bind: BindKind::default(),
            source_ton: None,
            source_npi: None,
            dest_ton: 1,
            dest_npi: 1,
            alphabet: Letters::default(),
            long: LongTexts::default(),
            ids: IdForm::default(),
            window: 10,
            enquire_seconds: 30,
            answer_seconds: 20,
            zone: Tz::UTC,
            region: String::new(),
            codes: BTreeMap::new(),
        }
    }
}

/// A number that is written out with fewer digits is a short code.
const SHORTEST_NUMBER: usize = 8;

impl SmppSettings {
    pub fn hearing(&self) -> Hearing {
        Hearing { alphabet: self.alphabet, zone: self.zone, ids: self.ids }
    }

    pub fn statuses(&self) -> StatusTable {
        StatusTable::of(&self.codes)
    }

    pub fn enquire(&self) -> Duration {
        Duration::from_secs(u64::from(self.enquire_seconds.max(1)))
    }

    pub fn answer(&self) -> Duration {
        Duration::from_secs(u64::from(self.answer_seconds.max(1)))
    }

    /// As whom a message comes: a name, a short code or a number.
    pub fn source(&self, sender: &str) -> SmscAddress {
        let sender = sender.trim();
        let number = sender.strip_prefix('+').unwrap_or(sender);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_long = SHORTEST_NUMBER <= number.len() || number.len() < sender.len();
        let (ton, npi, address) = match (is_number, is_long) {
            (true, true) => (1, 1, number),
            (true, false) => (3, 0, number),
            (false, _) => (5, 0, sender),
        };
        SmscAddress {
            ton: self.source_ton.unwrap_or(ton),
            npi: self.source_npi.unwrap_or(npi),
            address: address.to_owned(),
        }
    }

    pub fn destination(&self, to: &str) -> SmscAddress {
        let address = to.trim().trim_start_matches('+').to_owned();
        SmscAddress { ton: self.dest_ton, npi: self.dest_npi, address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_says_of_itself_what_it_is() {
        let source = |sender: &str| {
            let it = SmppSettings::default().source(sender);
            (it.ton, it.npi, it.address)
        };
        assert_eq!(source("Bugle 24"), (5, 0, "Bugle 24".into()));
        assert_eq!(source("50500"), (3, 0, "50500".into()));
        assert_eq!(source("+353861234567"), (1, 1, "353861234567".into()));
        assert_eq!(source("353861234567"), (1, 1, "353861234567".into()));
        let settings = SmppSettings { source_ton: Some(0), source_npi: Some(1), ..SmppSettings::default() };
        assert_eq!((settings.source("50500").ton, settings.source("50500").npi), (0, 1));
    }
}
