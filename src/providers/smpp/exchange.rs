//! What is said on a bind, without the wire: what comes is read, and tied to what we said before.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::hearing::Hearing;
use super::ids::IdForm;
use super::pdu::{Framed, Frames, Message, Pdu, command, message_id};
use super::statuses::{self, StatusTable};
use crate::providers::class::AnswerMeans;
use crate::providers::key::SendKey;
use crate::providers::{Event, SendOutcome};

/// Sends that nobody waits for any more, and which may be answered yet.
const LATE_MOST: usize = 10_000;
/// Sequence numbers end there and begin again.
const LAST: u32 = 0x7FFF_FFFF;

/// What follows from what came.
#[derive(Debug, PartialEq)]
pub enum BindStep<T> {
    /// To be said at once.
    Say(Pdu),
    /// To be taken in. Then it is answered: as taken, or so that it comes again.
    TakeIn { event: Box<Event>, pdu: Pdu },
    /// A send has its answer, or will have none.
    Settled { sequence: u32, what: T, outcome: SendOutcome },
    /// An answer to anything else of ours.
    Answered(Pdu),
    /// The other side ends the bind in good order, and is to be answered so. What is outstanding may be answered yet.
    Unbound(Pdu),
    /// What comes makes no sense any more.
    Hopeless,
}

/// A send without an answer.
struct Outstanding<T> {
    what: T,
    /// Whole texts by our name for them; a part alone says nothing of its text.
    key: Option<SendKey>,
    since: Duration,
}

/// One for each bind.
pub struct Exchange<T> {
    hearing: Hearing,
    statuses: StatusTable,
    frames: Frames,
    last: u32,
    outstanding: BTreeMap<u32, Outstanding<T>>,
    late: HashMap<u32, SendKey>,
    late_in_order: VecDeque<u32>,
}

impl<T> Exchange<T> {
    pub fn new(hearing: Hearing, statuses: StatusTable) -> Exchange<T> {
        Exchange {
            hearing,
            statuses,
            frames: Frames::default(),
            last: 0,
            outstanding: BTreeMap::new(),
            late: HashMap::new(),
            late_in_order: VecDeque::new(),
        }
    }

    fn ids(&self) -> IdForm {
        self.hearing.ids
    }

    /// A number for what is said next.
    pub fn number(&mut self) -> u32 {
        self.last = if self.last < LAST { self.last + 1 } else { 1 };
        self.last
    }

    /// A send leaves under this number. `since`: by [`crate::clock::uptime`].
    pub fn expect(&mut self, sequence: u32, what: T, key: Option<SendKey>, since: Duration) {
        self.outstanding.insert(sequence, Outstanding { what, key, since });
    }

    /// It did not leave after all.
    pub fn take_back(&mut self, sequence: u32) {
        self.outstanding.remove(&sequence);
    }

    pub fn n_outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// What follows from octets that came at this time.
    pub fn hear(&mut self, octets: &[u8], at: DateTime<Utc>) -> Vec<BindStep<T>> {
        self.frames.feed(octets);
        let mut steps = Vec::new();
        while let Some(framed) = self.frames.take() {
            match framed {
                Framed::Whole(pdu) => steps.extend(self.follow(pdu, at)),
                Framed::Broken { sequence } => {
                    steps.push(BindStep::Say(Pdu::nack(statuses::BAD_LENGTH, sequence)));
                }
                Framed::Hopeless => {
                    steps.push(BindStep::Hopeless);
                    return steps;
                }
            }
        }
        steps
    }

    fn follow(&mut self, pdu: Pdu, at: DateTime<Utc>) -> Option<BindStep<T>> {
        match pdu.command {
            command::DELIVER_SM | command::DATA_SM => {
                let event = match Message::read(&pdu) {
                    Some(message) => self.hearing.read(&message, at),
                    None => Event::Other("a message that names nobody".to_owned()),
                };
                Some(match event {
                    Event::Other(what) => {
                        tracing::debug!("passed over: {what}");
                        BindStep::Say(pdu.answer(statuses::OK))
                    }
                    event => BindStep::TakeIn { event: Box::new(event), pdu },
                })
            }
            command::ENQUIRE_LINK => Some(BindStep::Say(pdu.answer(statuses::OK))),
            command::UNBIND => Some(BindStep::Unbound(pdu.answer(statuses::OK))),
            // Neither is answered: we are there already, and nobody asked for the other.
            command::OUTBIND | command::ALERT_NOTIFICATION => None,
            _ if !pdu.is_answer() => Some(BindStep::Say(Pdu::nack(statuses::BAD_COMMAND, pdu.sequence))),
            _ => self.answered(pdu),
        }
    }

    fn answered(&mut self, pdu: Pdu) -> Option<BindStep<T>> {
        let is_of_send =
            matches!(pdu.command, command::GENERIC_NACK) || pdu.command == command::SUBMIT_SM | command::ANSWER;
        if !is_of_send {
            return Some(BindStep::Answered(pdu));
        }
        let sequence = pdu.sequence;
        let Some(Outstanding { what, .. }) = self.outstanding.remove(&sequence) else {
            return match self.late.remove(&sequence) {
                Some(key) => self.too_late(key, &pdu),
                None => Some(BindStep::Answered(pdu)),
            };
        };
        Some(BindStep::Settled { sequence, what, outcome: self.outcome(&pdu) })
    }

    fn outcome(&self, pdu: &Pdu) -> SendOutcome {
        let code = statuses::code(pdu.status);
        if pdu.command == command::GENERIC_NACK && pdu.status == statuses::OK {
            return AnswerMeans::Unknown.outcome(None, code);
        }
        // Whatever stands behind a refusal is no name of anything.
        let id = message_id(&pdu.body).map(|id| self.ids().of_answer(&id));
        self.statuses.meaning(pdu.status).outcome(id, code)
    }

    /// It was taken, and whoever waited for that has written down that nobody knows.
    fn too_late(&mut self, key: SendKey, pdu: &Pdu) -> Option<BindStep<T>> {
        match self.outcome(pdu) {
            SendOutcome::Accepted { provider_ref } => {
                let event = Box::new(Event::Taken { key, reference: provider_ref });
                Some(BindStep::TakeIn { event, pdu: pdu.clone() })
            }
            _ => None,
        }
    }

    /// Gives up sends that left before, by [`crate::clock::uptime`], and have no answer.
    pub fn overdue(&mut self, before: Duration) -> Vec<BindStep<T>> {
        let overdue = self.outstanding.extract_if(.., |_, it| it.since < before);
        let overdue: Vec<(u32, Outstanding<T>)> = overdue.collect();
        for (sequence, it) in &overdue {
            if let Some(key) = it.key {
                self.late.insert(*sequence, key);
                self.late_in_order.push_back(*sequence);
            }
        }
        while LATE_MOST < self.late_in_order.len() {
            if let Some(sequence) = self.late_in_order.pop_front() {
                self.late.remove(&sequence);
            }
        }
        overdue.into_iter().map(|(sequence, it)| unknown(sequence, it.what, "no answer in time")).collect()
    }

    /// The connection is gone: what is outstanding may have been taken.
    pub fn lost(&mut self, why: &str) -> Vec<BindStep<T>> {
        std::mem::take(&mut self.outstanding)
            .into_iter()
            .map(|(sequence, it)| unknown(sequence, it.what, why))
            .collect()
    }
}

fn unknown<T>(sequence: u32, what: T, why: &str) -> BindStep<T> {
    BindStep::Settled { sequence, what, outcome: SendOutcome::Unknown { code: why.to_owned() } }
}

/// What becomes of a text whose parts came to this, in their order.
///
/// Taken are all of them or it is not known: a part that a phone has cannot be called back. Its reference is that of the
/// last part, because a phone shows a text when that is there.
pub fn together(outcomes: Vec<SendOutcome>) -> SendOutcome {
    let n = outcomes.len();
    let taken = outcomes.iter().filter(|it| matches!(it, SendOutcome::Accepted { .. })).count();
    let unknown = outcomes.iter().position(|it| matches!(it, SendOutcome::Unknown { .. }));
    let mut them = outcomes.into_iter();
    let chosen = match unknown {
        _ if taken == n => them.next_back(),
        // Refused with nothing taken, and by its first word.
        None if taken == 0 => them.next(),
        None => None,
        Some(at) if taken == 0 => them.nth(at),
        Some(_) => None,
    };
    chosen.unwrap_or_else(|| SendOutcome::Unknown { code: format!("{taken} of {n} parts taken") })
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::ids::MessageId;
    use crate::providers::RejectClass;
    use crate::providers::key::MessageKey;
    use crate::wording::letters::Letters;

    fn exchange() -> Exchange<u32> {
        let hearing = Hearing { alphabet: Letters::Gsm, zone: Tz::UTC, ids: IdForm::AsItIs };
        Exchange::new(hearing, StatusTable::default())
    }

    fn hear(exchange: &mut Exchange<u32>, pdu: &Pdu) -> Vec<BindStep<u32>> {
        exchange.hear(&pdu.octets(), DateTime::UNIX_EPOCH)
    }

    fn taken(sequence: u32, id: &str) -> Pdu {
        let body = [id.as_bytes(), b"\0"].concat();
        Pdu { command: command::SUBMIT_SM | command::ANSWER, status: 0, sequence, body }
    }

    #[test]
    fn what_nobody_knows_is_answered_and_the_bind_goes_on() {
        let mut it = exchange();
        let say = |pdu: Pdu| vec![BindStep::Say(pdu)];
        let strange = Pdu::new(0x77, 9, b"body".to_vec());
        assert_eq!(hear(&mut it, &strange), say(Pdu::nack(3, 9)));
        assert_eq!(hear(&mut it, &Pdu::new(command::SUBMIT_SM, 8, Vec::new())), say(Pdu::nack(3, 8)));
        for quiet in [command::OUTBIND, command::ALERT_NOTIFICATION] {
            assert_eq!(hear(&mut it, &Pdu::new(quiet, 1, b"x".to_vec())), []);
        }
        let enquire = Pdu::new(command::ENQUIRE_LINK, 5, Vec::new());
        assert_eq!(hear(&mut it, &enquire), say(enquire.answer(0)));
        let empty = Pdu::new(command::DELIVER_SM, 6, b"\0".to_vec());
        assert_eq!(hear(&mut it, &empty), say(empty.answer(0)), "told again it would be no better");
        // An answer to nothing of ours.
        assert!(matches!(hear(&mut it, &taken(99, "x"))[..], [BindStep::Answered(_)]));
        let broken = [0; 10_000];
        assert!(matches!(it.hear(&broken, DateTime::UNIX_EPOCH).last(), Some(BindStep::Hopeless)));
    }

    #[test]
    fn an_answer_settles_its_own_send_and_one_that_comes_too_late_is_told() {
        let mut it = exchange();
        let key = SendKey::from(MessageKey { id: MessageId(7), attempt: 1 });
        for sequence in [1, 2, 3] {
            it.expect(sequence, sequence, Some(key), Duration::from_secs(u64::from(sequence)));
        }
        let accepted = |id: &str| SendOutcome::Accepted { provider_ref: Some(id.to_owned()) };
        assert_eq!(hear(&mut it, &taken(2, "b")), [BindStep::Settled { sequence: 2, what: 2, outcome: accepted("b") }]);
        let overdue = it.overdue(Duration::from_secs(2));
        assert!(matches!(&overdue[..], [BindStep::Settled { sequence: 1, outcome: SendOutcome::Unknown { .. }, .. }]));
        let late = hear(&mut it, &taken(1, "a"));
        let event = Event::Taken { key, reference: Some("a".into()) };
        assert!(matches!(&late[..], [BindStep::TakeIn { event: it, .. }] if **it == event), "{late:?}");
        let nack = Pdu::nack(0x58, 3);
        assert!(matches!(
            &hear(&mut it, &nack)[..],
            [BindStep::Settled { outcome: SendOutcome::RetryLater { .. }, .. }]
        ));
        it.expect(4, 4, None, Duration::ZERO);
        assert_eq!((it.lost("gone").len(), it.n_outstanding()), (1, 0));
    }

    #[test]
    fn a_text_is_taken_when_all_of_it_is() {
        let accepted = |id: &str| SendOutcome::Accepted { provider_ref: Some(id.to_owned()) };
        let refused = |class| SendOutcome::Rejected { class, code: "x".into() };
        let unknown = || SendOutcome::Unknown { code: "gone".into() };
        assert_eq!(together(vec![accepted("a"), accepted("b")]), accepted("b"));
        let both = vec![refused(RejectClass::BadAddress), refused(RejectClass::Other)];
        assert_eq!(together(both), refused(RejectClass::BadAddress));
        assert_eq!(together(vec![refused(RejectClass::Other), unknown()]), unknown());
        for part in [refused(RejectClass::Other), unknown()] {
            for parts in [vec![accepted("a"), part.clone()], vec![part.clone(), accepted("a")]] {
                assert_eq!(together(parts), SendOutcome::Unknown { code: "1 of 2 parts taken".into() });
            }
        }
    }
}
