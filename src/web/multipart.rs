//! Forms that come in part by part, each held to one budget.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_multipart::{Field, Multipart};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::{FromRequest, HttpRequest};
use futures_util::{StreamExt, TryStreamExt};

use super::Problem;

/// More parts than any form of ours has.
const MOST_PARTS: usize = 100;

/// What a form may hold.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of everything that is sent, the names and heads of parts included.
    pub whole: u64,
    /// Bytes of its texts, which are held in memory.
    pub texts: usize,
}

/// Why nothing is made of a form.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("The form did not come through whole")]
    BrokeOff,
    #[error("At most {} MiB fit here", most >> 20)]
    TooLarge { most: u64 },
    #[error("This form has more parts than any of ours")]
    TooManyParts,
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::TooLarge { .. } => Problem::TooLarge(unfit.to_string()),
            Unfit::BrokeOff | Unfit::TooManyParts => Problem::Invalid(unfit.to_string()),
        }
    }
}

/// A form on its way in.
///
/// One that is over its budget is read on without being kept, so that the browser hears
/// why it was refused; past twice the budget nothing is read any more.
pub struct Incoming {
    form: Multipart,
    budget: Budget,
    /// Bytes that came in, and how many may.
    came: Rc<Cell<u64>>,
    most: Rc<Cell<u64>>,
    n_parts: usize,
    n_texts: usize,
    unfit: Option<Unfit>,
}

impl FromRequest for Incoming {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let budget = Budget { whole: 0, texts: 0 };
        let (came, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (counted, limit) = (came.clone(), most.clone());
        let payload = payload.take().map(move |piece| {
            let piece = piece?;
            counted.set(counted.get() + piece.len() as u64);
            if counted.get() > limit.get() { Err(PayloadError::Overflow) } else { Ok(piece) }
        });
        let form = Multipart::new(req.headers(), payload);
        ready(Ok(Incoming { form, budget, came, most, n_parts: 0, n_texts: 0, unfit: None }))
    }
}

impl Incoming {
    /// Sets what it may hold; without this nothing is read.
    pub fn within(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self.most.set(budget.whole * 2);
        self
    }

    /// The next part that is called as one of `known`; the others are passed over. After the last
    /// it tells whether the form was fit as a whole.
    pub async fn next<'k>(&mut self, known: &[&'k str]) -> Result<Option<(&'k str, Field)>, Unfit> {
        loop {
            let field = match self.form.try_next().await {
                Ok(field) => field,
                Err(_) => return Err(self.broken()),
            };
            self.n_parts += 1;
            self.weigh();
            let Some(field) = field else { return self.unfit.take().map_or(Ok(None), Err) };
            let name = known.iter().find(|name| field.name() == Some(**name));
            if let (Some(name), None) = (name, &self.unfit) {
                return Ok(Some((*name, field)));
            }
        }
    }

    /// The next piece of a part; `None` at its end, and when the form is over its budget.
    pub async fn piece(&mut self, field: &mut Field) -> Result<Option<actix_web::web::Bytes>, Unfit> {
        let piece = field.try_next().await.map_err(|_| self.broken())?;
        self.weigh();
        Ok(piece.filter(|_| self.unfit.is_none()))
    }

    /// A part that is a text, as it was sent.
    pub async fn text(&mut self, field: &mut Field) -> Result<Vec<u8>, Unfit> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(field).await? {
            self.n_texts += piece.len();
            if self.n_texts > self.budget.texts {
                self.unfit = Some(Unfit::TooLarge { most: self.budget.texts as u64 });
                return Ok(Vec::new());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// All its texts, the first of each name. Takes no files.
    pub async fn texts(mut self, known: &[&'static str]) -> Result<Parts, Unfit> {
        let mut parts = Parts::default();
        while let Some((name, mut field)) = self.next(known).await? {
            let text = self.text(&mut field).await?;
            parts.add(name, text);
        }
        Ok(parts)
    }

    fn weigh(&mut self) {
        if self.came.get() > self.budget.whole {
            self.unfit = Some(Unfit::TooLarge { most: self.budget.whole });
        } else if self.n_parts > MOST_PARTS {
            self.unfit = Some(Unfit::TooManyParts);
        }
    }

    /// Why it can be read no further.
    fn broken(&mut self) -> Unfit {
        self.weigh();
        self.unfit.take().unwrap_or(Unfit::BrokeOff)
    }
}

/// The texts of a form, by name.
#[derive(Debug, Default)]
pub struct Parts(Vec<(&'static str, Vec<u8>)>);

impl Parts {
    /// For long texts and small files; campaign files have a way of their own, which
    /// needs no memory for them.
    const BUDGET: Budget = Budget { whole: 16 << 20, texts: 16 << 20 };

    pub async fn read(form: Incoming, known: &[&'static str]) -> Result<Parts, Problem> {
        Ok(form.within(Self::BUDGET).texts(known).await?)
    }

    /// Keeps the last of each name.
    pub fn add(&mut self, name: &'static str, text: Vec<u8>) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, text));
    }

    /// The text of a part, in UTF-8 or as old spreadsheets write it; empty when there is no such part.
    pub fn text(&self, name: &str) -> String {
        let bytes = self.bytes(name);
        let text = match encoding_rs::Encoding::for_bom(bytes) {
            Some((encoding, _)) => encoding.decode(bytes).0,
            None if std::str::from_utf8(bytes).is_ok() => String::from_utf8_lossy(bytes),
            None => encoding_rs::WINDOWS_1252.decode(bytes).0,
        };
        // Postgres cannot store it, and no address has one.
        text.replace('\0', "")
    }

    /// A part as it was sent.
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.0.iter().find(|(part, _)| *part == name).map_or(&[], |(_, bytes)| bytes)
    }
}
