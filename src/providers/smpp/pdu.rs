//! What goes over a bind, octet by octet: SMPP 3.4, chapters 4 and 5.
//!
//! Written here and not taken from a library, because a line that is up must stay up: an SMSC that leaves out the end of a
//! text, puts a body behind a refusal, or sends a command that nobody knows is answered and goes on. Libraries that hold
//! it to the letter end the connection, and with it whatever is outstanding.

/// Octets in front of each.
pub const HEADER: usize = 16;
/// Longer than the longest there can be, whose text is in `message_payload`.
const LONGEST: usize = 72_000;
/// Texts in the field `short_message` are no longer.
pub const SHORT: usize = 254;

pub mod command {
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    pub const BIND_RECEIVER: u32 = 0x01;
    pub const BIND_TRANSMITTER: u32 = 0x02;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const UNBIND: u32 = 0x06;
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const OUTBIND: u32 = 0x0B;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const ALERT_NOTIFICATION: u32 = 0x102;
    pub const DATA_SM: u32 = 0x103;
    /// Set in the answer to a command.
    pub const ANSWER: u32 = 0x8000_0000;
}

pub mod tag {
    pub const NETWORK_ERROR_CODE: u16 = 0x0423;
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub const MESSAGE_STATE: u16 = 0x0427;
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
    pub const SAR_MSG_REF_NUM: u16 = 0x020C;
    pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
    pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
}

/// A command or an answer, its body unread.
#[derive(Clone, Debug, PartialEq)]
pub struct Pdu {
    pub command: u32,
    pub status: u32,
    pub sequence: u32,
    pub body: Vec<u8>,
}

impl Pdu {
    pub fn new(command: u32, sequence: u32, body: Vec<u8>) -> Pdu {
        Pdu { command, status: 0, sequence, body }
    }

    /// What this is answered with. An answer to a message names none of ours, which still takes an octet.
    pub fn answer(&self, status: u32) -> Pdu {
        let body = match self.command {
            command::DELIVER_SM | command::DATA_SM => vec![0],
            _ => Vec::new(),
        };
        Pdu { command: self.command | command::ANSWER, status, sequence: self.sequence, body }
    }

    pub fn nack(status: u32, sequence: u32) -> Pdu {
        Pdu { command: command::GENERIC_NACK, status, sequence, body: Vec::new() }
    }

    pub fn is_answer(&self) -> bool {
        self.command & command::ANSWER != 0
    }

    pub fn write(&self, to: &mut Vec<u8>) {
        for number in [(HEADER + self.body.len()) as u32, self.command, self.status, self.sequence] {
            to.extend(number.to_be_bytes());
        }
        to.extend(&self.body);
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(HEADER + self.body.len());
        self.write(&mut octets);
        octets
    }
}

/// What comes, cut into what was sent.
#[derive(Debug, Default)]
pub struct Frames {
    octets: Vec<u8>,
    /// Of these, so many are done with.
    read: usize,
    /// Nobody knows where the next one begins, and how many octets were passed over since.
    lost: Option<usize>,
}

/// One that came.
#[derive(Debug, PartialEq)]
pub enum Framed {
    Whole(Pdu),
    /// Its length cannot be. What looks like the next is looked for behind it.
    Broken {
        sequence: u32,
    },
    /// Nothing that looks like one comes any more.
    Hopeless,
}

/// Octets in which something that looks like a command has to come.
const LOOKS_FOR: usize = 8 * 1024;

impl Frames {
    pub fn feed(&mut self, octets: &[u8]) {
        self.octets.drain(..self.read);
        self.read = 0;
        self.octets.extend(octets);
    }

    /// `None`: the rest has not come yet.
    pub fn take(&mut self) -> Option<Framed> {
        if let Some(passed) = self.lost {
            let rest = self.octets.get(self.read..).unwrap_or_default();
            let found = (0..rest.len()).find(|at| rest.get(*at..).is_some_and(may_begin));
            // The end may be the beginning of one.
            let over = found.unwrap_or(rest.len().saturating_sub(HEADER - 1));
            self.read += over;
            self.lost = if found.is_some() { None } else { Some(passed + over) };
            if LOOKS_FOR < passed + over {
                (self.read, self.lost) = (self.octets.len(), Some(0));
                return Some(Framed::Hopeless);
            }
        }
        let rest = self.octets.get(self.read..).unwrap_or_default();
        let (length, command, status, sequence) =
            (number(rest, 0)? as usize, number(rest, 1)?, number(rest, 2)?, number(rest, 3)?);
        if self.lost.is_some() {
            return None;
        }
        if !(HEADER..=LONGEST).contains(&length) {
            self.read += 1;
            self.lost = Some(1);
            return Some(Framed::Broken { sequence });
        }
        let body = rest.get(HEADER..length)?.to_vec();
        self.read += length;
        Some(Framed::Whole(Pdu { command, status, sequence, body }))
    }
}

fn number(octets: &[u8], n: usize) -> Option<u32> {
    Some(u32::from_be_bytes(octets.get(n * 4..n * 4 + 4)?.try_into().ok()?))
}

/// Whether a command or an answer that SMPP knows may begin here.
fn may_begin(octets: &[u8]) -> bool {
    let (Some(length), Some(command), Some(status)) = (number(octets, 0), number(octets, 1), number(octets, 2)) else {
        return false;
    };
    let is_known = matches!(command & !command::ANSWER, 0..=0x09 | 0x0B | 0x15 | 0x21 | 0x102 | 0x103 | 0x111 | 0x112);
    let is_answer = command & command::ANSWER != 0;
    (HEADER..=LONGEST).contains(&(length as usize)) && command != 0 && is_known && (is_answer || status == 0)
}

/// Reads the fields of a body, one after the other. Of one that is cut off there is what there is.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn octet(&mut self) -> u8 {
        self.octets(1).first().copied().unwrap_or_default()
    }

    /// At most so many.
    fn octets(&mut self, n: usize) -> &'a [u8] {
        let (field, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        field
    }

    /// A text that ends with an octet of nothing, or with the body.
    fn text(&mut self) -> String {
        let n = self.0.iter().position(|octet| *octet == 0);
        let text = self.octets(n.unwrap_or(self.0.len()));
        if n.is_some() {
            self.octets(1);
        }
        plain(text)
    }

    fn number(&mut self) -> Option<u16> {
        let field = self.octets(2);
        Some(u16::from_be_bytes(field.try_into().ok()?))
    }
}

/// A text of a field: ASCII, and whatever stands there instead.
pub fn plain(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

/// An address with what is said of its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SmscAddress {
    /// Type of number: 0 unknown, 1 international, 2 national, 3 short code, 5 with letters.
    pub ton: u8,
    pub npi: u8,
    pub address: String,
}

impl SmscAddress {
    fn read(fields: &mut Fields<'_>) -> SmscAddress {
        SmscAddress { ton: fields.octet(), npi: fields.octet(), address: fields.text() }
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend([self.ton, self.npi]);
        write_text(&self.address, to);
    }

    /// An international number has its plus.
    pub fn text(&self) -> String {
        let address = self.address.trim();
        let is_number = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_digit());
        if self.ton == 1 && is_number { format!("+{address}") } else { address.to_owned() }
    }
}

/// Signs that are no ASCII have no place in such a field.
fn write_text(text: &str, to: &mut Vec<u8>) {
    to.extend(text.chars().map(|c| if c.is_ascii() && c != '\0' { c as u8 } else { b'?' }));
    to.push(0);
}

/// Values that a body may have at its end, by their tags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tlvs(pub Vec<(u16, Vec<u8>)>);

impl Tlvs {
    fn read(fields: &mut Fields<'_>) -> Tlvs {
        let mut them = Vec::new();
        while let (Some(tag), Some(n)) = (fields.number(), fields.number()) {
            them.push((tag, fields.octets(usize::from(n)).to_vec()));
        }
        Tlvs(them)
    }

    fn write(&self, to: &mut Vec<u8>) {
        for (tag, value) in &self.0 {
            to.extend(tag.to_be_bytes());
            to.extend((value.len() as u16).to_be_bytes());
            to.extend(value);
        }
    }

    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.0.iter().find(|(it, _)| *it == tag).map(|(_, value)| value.as_slice())
    }

    /// Of one octet or two.
    pub fn number(&self, tag: u16) -> Option<u16> {
        let value = self.get(tag)?;
        (1..=2).contains(&value.len()).then(|| value.iter().fold(0, |n, octet| n << 8 | u16::from(*octet)))
    }

    pub fn text(&self, tag: u16) -> Option<String> {
        let text = self.get(tag)?.split(|octet| *octet == 0).next().map(plain)?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// A message, in either direction: `submit_sm`, `deliver_sm` or `data_sm`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub service_type: String,
    pub from: SmscAddress,
    pub to: SmscAddress,
    /// Bits 2 to 5 say what it is, bit 6 that its text begins with a header.
    pub esm_class: u8,
    /// Until when it is of use, as `YYMMDDhhmmss000+` in UTC; empty: nobody says.
    pub validity: String,
    /// 1: tell what becomes of it.
    pub registered: u8,
    pub data_coding: u8,
    pub short: Vec<u8>,
    pub tlvs: Tlvs,
}

impl Message {
    /// The body of a `submit_sm` or `deliver_sm`.
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(80 + self.short.len());
        write_text(&self.service_type, &mut body);
        self.from.write(&mut body);
        self.to.write(&mut body);
        // Neither a protocol of the network, a priority, nor a time to send it.
        body.extend([self.esm_class, 0, 0, 0]);
        write_text(&self.validity, &mut body);
        let short = self.short.get(..SHORT.min(self.short.len())).unwrap_or_default();
        body.extend([self.registered, 0, self.data_coding, 0, short.len() as u8]);
        body.extend(short);
        self.tlvs.write(&mut body);
        body
    }

    /// `None`: the body says nothing of anybody.
    pub fn read(pdu: &Pdu) -> Option<Message> {
        let mut fields = Fields(&pdu.body);
        let (service_type, from, to) = (fields.text(), SmscAddress::read(&mut fields), SmscAddress::read(&mut fields));
        let esm_class = fields.octet();
        let mut it = Message { service_type, from, to, esm_class, ..Message::default() };
        if pdu.command == command::DATA_SM {
            (it.registered, it.data_coding) = (fields.octet(), fields.octet());
        } else {
            // Protocol, priority, and when it is to be delivered.
            fields.octets(2);
            fields.text();
            it.validity = fields.text();
            it.registered = fields.octet();
            fields.octet();
            it.data_coding = fields.octet();
            fields.octet();
            let n = fields.octet();
            it.short = fields.octets(usize::from(n)).to_vec();
        }
        it.tlvs = Tlvs::read(&mut fields);
        (!it.from.address.is_empty() || !it.to.address.is_empty()).then_some(it)
    }

    /// Its text and the header in front of it, wherever they stand.
    pub fn octets(&self) -> &[u8] {
        match self.tlvs.get(tag::MESSAGE_PAYLOAD) {
            Some(payload) if self.short.is_empty() => payload,
            _ => &self.short,
        }
    }
}

/// The body of a bind.
pub fn bind_body(system_id: &str, password: &str, system_type: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for text in [system_id, password, system_type] {
        write_text(text, &mut body);
    }
    // Version 3.4; addresses of no kind, and all of them.
    body.extend([0x34, 0, 0, 0]);
    body
}

/// The provider's name for a message, in the body of an answer.
pub fn message_id(body: &[u8]) -> Option<String> {
    let id = Fields(body).text();
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(octets: &[u8]) -> Vec<Framed> {
        let mut frames = Frames::default();
        // As it may come: cut anywhere.
        let mut them = Vec::new();
        for piece in octets.chunks(5) {
            frames.feed(piece);
            them.extend(std::iter::from_fn(|| frames.take()));
        }
        them
    }

    #[test]
    fn a_length_that_cannot_be_costs_one_header_and_nothing_behind_it() {
        let good = Pdu::new(command::ENQUIRE_LINK, 7, Vec::new());
        for length in [0_u32, 15, 0x7FFF_FFFF] {
            let mut broken = Pdu::new(command::DELIVER_SM, 6, Vec::new()).octets();
            broken[..4].copy_from_slice(&length.to_be_bytes());
            let them = read(&[broken, good.octets()].concat());
            assert_eq!(them, [Framed::Broken { sequence: 6 }, Framed::Whole(good.clone())], "{length}");
        }
    }

    #[test]
    fn a_length_that_lies_costs_what_it_lies_about_and_not_the_bind() {
        let good = Pdu::new(command::ENQUIRE_LINK, 7, Vec::new());
        // Shorter than it is: the rest of it is taken for another.
        let mut short = Pdu::new(command::DELIVER_SM, 6, b"\0\x01\x01353861234567\0 and more of it".to_vec()).octets();
        short[3] -= 9;
        let them = read(&[short, good.octets(), good.octets()].concat());
        assert!(them.ends_with(&[Framed::Whole(good.clone()), Framed::Whole(good.clone())]), "{them:?}");
        // Nothing but noise.
        let noise = read(&[0xFF; 3 * LOOKS_FOR]);
        assert_eq!(noise.first(), Some(&Framed::Broken { sequence: u32::MAX }));
        assert_eq!(noise.last(), Some(&Framed::Hopeless));
    }

    #[test]
    fn what_is_cut_off_is_read_as_far_as_it_goes() {
        let it = Message {
            from: SmscAddress { ton: 1, npi: 1, address: "353861234567".into() },
            to: SmscAddress { ton: 3, npi: 0, address: "50500".into() },
            short: b"hello".to_vec(),
            tlvs: Tlvs(vec![(tag::SAR_MSG_REF_NUM, vec![1, 2]), (0x1403, b"unknown".to_vec())]),
            ..Message::default()
        };
        let whole = Pdu::new(command::DELIVER_SM, 1, it.body());
        assert_eq!(Message::read(&whole), Some(it.clone()));
        assert_eq!((it.from.text(), it.to.text()), ("+353861234567".into(), "50500".into()));
        for n in 0..whole.body.len() {
            let cut = Pdu { body: whole.body[..n].to_vec(), ..whole.clone() };
            assert_eq!(Message::read(&cut).is_some(), 3 < n, "{n}");
        }
        // A length that leads past the end.
        let mut long = whole.clone();
        let at = long.body.windows(5).position(|it| it == b"hello").unwrap();
        long.body[at - 1] = 250;
        assert!(Message::read(&long).unwrap().short.starts_with(b"hello"));
    }

    proptest! {
        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..400), command in 0..0x110_u32) {
            for framed in read(&octets) {
                if let Framed::Whole(pdu) = framed {
                    Message::read(&pdu);
                }
            }
            let pdu = Pdu::new(command, 1, octets);
            Message::read(&pdu);
            message_id(&pdu.body);
        }

        #[test]
        fn what_is_written_is_read(
            from in "[0-9A-Za-z]{1,20}",
            to in "[0-9]{1,20}",
            short in proptest::collection::vec(any::<u8>(), 0..=SHORT),
            (esm_class, data_coding, ton) in any::<(u8, u8, u8)>(),
            payload in proptest::collection::vec(any::<u8>(), 0..2000),
            sequence: u32,
        ) {
            let message = Message {
                from: SmscAddress { ton, npi: 1, address: from },
                to: SmscAddress { ton: 1, npi: 1, address: to },
                esm_class,
                data_coding,
                short,
                validity: "261128120000000+".into(),
                registered: 1,
                tlvs: Tlvs(vec![(tag::MESSAGE_PAYLOAD, payload)]),
                ..Message::default()
            };
            let pdu = Pdu::new(command::SUBMIT_SM, sequence, message.body());
            prop_assert_eq!(read(&pdu.octets()), vec![Framed::Whole(pdu.clone())]);
            prop_assert_eq!(Message::read(&pdu), Some(message));
        }
    }
}
