//! io: Taking a file in: from the request to a temporary file to the database, with
//! the same memory however large it is.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use actix_multipart::Field;
use chrono::{DateTime, Utc};
use diesel::Connection;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::domain::{Format, ReadingChoice, TableHead};
use super::head::{Utf8Check, read_head};
use super::refusal::Refusal;
use super::store;
use super::table::Unread;
use crate::app::App;
use crate::db::Db;
use crate::folding::folded;
use crate::ids::{FileId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::providers::Kind;
use crate::web::{Budget, Incoming, Parts, Unfit};

/// The largest file that is taken.
pub const LARGEST: u64 = 512 << 20;
/// What comes with it in its form: rows that are pasted instead, at most.
const TEXTS: usize = 5 << 20;
const BUDGET: Budget = Budget { whole: LARGEST + TEXTS as u64, texts: TEXTS };

/// Why an upload came to nothing. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is the form that is wrong, not the file in it.
    #[error(transparent)]
    Unfit(Unfit),
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl From<Unfit> for Failed {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::BrokeOff => Failed::Refused(Refusal::BrokeOff),
            Unfit::TooLarge { .. } | Unfit::TooManyParts => Failed::Unfit(unfit),
        }
    }
}

impl From<Unread> for Failed {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Refused(refusal) => Failed::Refused(refusal),
            Unread::Broken(error) => Failed::Broken(error.into()),
        }
    }
}

/// A form that may bring a file, come in whole. Nothing of it is stored until somebody keeps it.
pub struct Form {
    pub texts: Parts,
    pub file: Result<Arrived, Refusal>,
}

/// A file that came in and lies in a temporary one.
pub struct Arrived {
    pub name: String,
    spool: Spool,
}

impl Form {
    /// Reads a form with these texts and a file called `file`.
    pub async fn read(form: Incoming, texts: &[&'static str]) -> Result<Form, Failed> {
        const FILE: &str = "file";
        let mut incoming = form.within(BUDGET);
        let names: Vec<&str> = texts.iter().copied().chain([FILE]).collect();
        let mut read = Form { texts: Parts::default(), file: Err(Refusal::NoFile) };
        while let Some((name, mut field)) = incoming.next(&names).await? {
            if name == FILE {
                read.file = match (spool(&mut incoming, &mut field).await?, read.file) {
                    // A field that nothing was chosen in.
                    (Err(Refusal::NoFile), before) => before,
                    (file, Err(Refusal::NoFile)) => file,
                    (_, _) => Err(Refusal::SeveralFiles),
                };
            } else if let Some(name) = texts.iter().find(|text| **text == name) {
                read.texts.add(name, incoming.text(&mut field).await?);
            }
        }
        Ok(read)
    }

    /// Stores its file, which then waits for its mapping.
    pub async fn keep(self, app: &App, kind: Kind, by: UserId, now: DateTime<Utc>) -> Result<FileId, Failed> {
        self.keep_like(ReadingChoice::default(), app, kind, by, now).await
    }

    /// The same for a file that is read as others before it, unless its content says otherwise.
    pub async fn keep_like(
        self,
        like: ReadingChoice,
        app: &App,
        kind: Kind,
        by: UserId,
        now: DateTime<Utc>,
    ) -> Result<FileId, Failed> {
        let Arrived { name, spool } = self.file?;
        let db = app.db.clone();
        let kept = spawn_blocking(move || {
            let head = spool.head(like).or_else(|unread| match unread {
                Unread::Refused(_) if like.header_row.is_some() => {
                    spool.head(ReadingChoice { header_row: None, ..like })
                }
                unread => Err(unread),
            })?;
            let mut conn = db.open().map_err(anyhow::Error::from)?;
            Ok(conn.transaction(|conn| spool.keep(conn, &name, kind, &head, by, now))?)
        });
        kept.await.map_err(anyhow::Error::from)?
    }
}

/// Takes in the file that a form's field holds.
async fn spool(incoming: &mut Incoming, field: &mut Field) -> Result<Result<Arrived, Refusal>, Failed> {
    let name = field.content_disposition().and_then(|d| d.get_filename()).map(plain_name).unwrap_or_default();
    let mut spool = Spool::new().map_err(anyhow::Error::from)?;
    let mut piece = Vec::new();
    while let Some(bytes) = incoming.piece(field).await? {
        if spool.size + (piece.len() + bytes.len()) as u64 > LARGEST {
            return Ok(Err(Refusal::TooLarge { most_mib: LARGEST >> 20 }));
        }
        piece.extend_from_slice(&bytes);
        if piece.len() >= store::CHUNK {
            (spool, piece) = blocking(move || spool.add(piece)).await?;
        }
    }
    let (spool, _) = blocking(move || spool.add(piece)).await?;
    if spool.size == 0 && name.is_empty() {
        return Ok(Err(Refusal::NoFile));
    }
    let name = if name.is_empty() { "upload".to_owned() } else { name };
    Ok(Ok(Arrived { name, spool }))
}

/// The same for bytes that are at hand, such as the demo's.
pub fn receive_bytes(
    app: &App,
    name: &str,
    bytes: &[u8],
    kind: Kind,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<FileId, Failed> {
    receive_here(&app.db, name, bytes, kind, by, now)
}

/// As [`receive_bytes`], for a thread that may block.
pub fn receive_here(
    db: &Db,
    name: &str,
    bytes: &[u8],
    kind: Kind,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<FileId, Failed> {
    let spool = Spool::new().and_then(|spool| spool.add(bytes.to_vec())).map_err(anyhow::Error::from)?.0;
    let head = spool.head(ReadingChoice::default())?;
    let mut conn = db.open().map_err(anyhow::Error::from)?;
    Ok(conn.transaction(|conn| spool.keep(conn, &plain_name(name), kind, &head, by, now))?)
}

/// The same for rows that somebody pasted.
pub async fn receive_text(
    app: &App,
    name: &str,
    text: &[u8],
    kind: Kind,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<FileId, Failed> {
    let (db, name, text) = (app.db.clone(), name.to_owned(), text.to_vec());
    spawn_blocking(move || receive_here(&db, &name, &text, kind, by, now)).await.map_err(anyhow::Error::from)?
}

/// The head of a stored file, read as somebody says.
pub fn read_anew(db: &Db, id: FileId, choice: ReadingChoice) -> Result<TableHead, Failed> {
    // A CSV tells at its beginning; a workbook ends with the list of its parts.
    const BEGINNING: u64 = 48 << 20;

    let mut conn = db.open().map_err(anyhow::Error::from)?;
    let of_csv = store::find(&mut conn, id).map_err(anyhow::Error::from)?.head.format == Format::Csv;
    let mut spool = Spool::new().map_err(anyhow::Error::from)?;
    for n in 0.. {
        let Some(chunk) = store::chunk(&mut conn, id, n).map_err(anyhow::Error::from)? else { break };
        spool = spool.add(chunk).map_err(anyhow::Error::from)?.0;
        if of_csv && spool.size > BEGINNING {
            break;
        }
    }
    Ok(spool.head(choice)?)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Failed> {
    Ok(spawn_blocking(work).await.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?)
}

/// Without folders and characters that no name has, and not endless.
pub fn plain_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    folded(&folded(name).chars().take(200).collect::<String>())
}

/// An upload on its way: a file without a name, and what is learned as it passes.
struct Spool {
    file: fs::File,
    size: u64,
    hash: Sha256,
    utf8: Utf8Check,
}

impl Spool {
    fn new() -> std::io::Result<Self> {
        Ok(Spool { file: tempfile::tempfile()?, size: 0, hash: Sha256::new(), utf8: Utf8Check::default() })
    }

    /// Gives the emptied piece back, to be filled again.
    fn add(mut self, mut piece: Vec<u8>) -> std::io::Result<(Self, Vec<u8>)> {
        self.file.write_all(&piece)?;
        self.size += piece.len() as u64;
        self.hash.update(&piece);
        self.utf8.add(&piece);
        piece.clear();
        Ok((self, piece))
    }

    fn head(&self, choice: ReadingChoice) -> Result<TableHead, Unread> {
        read_head(&self.file, self.size, self.utf8.is_meant(), choice)
    }

    fn keep(
        &self,
        conn: &mut diesel::PgConnection,
        name: &str,
        kind: Kind,
        head: &TableHead,
        by: UserId,
        now: DateTime<Utc>,
    ) -> anyhow::Result<FileId> {
        let sha256 = self.hash.clone().finalize();
        let upload = store::Upload { name, size_bytes: self.size as i64, sha256: &sha256, kind, head };
        let id = store::insert(conn, &upload, by, now)?;
        let entry = Entry::new(Happened::FileReceived, id, by).became("received");
        journal::note(conn, entry, now)?;

        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut chunk = Vec::with_capacity(store::CHUNK);
        for n in 0.. {
            chunk.clear();
            file.take(store::CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            store::insert_chunk(conn, id, n, &chunk)?;
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders() {
        assert_eq!(plain_name("C:\\Users\\anna\\list.csv"), "list.csv");
        assert_eq!(plain_name("../../etc/list.csv"), "list.csv");
        assert_eq!(plain_name("a\u{0}b\n.csv"), "ab .csv");
        assert_eq!(plain_name("Donne\u{301}es\u{a0}1.csv"), "Données 1.csv", "as macOS writes it");
        assert_eq!(plain_name(&"x".repeat(5000)).len(), 200);
    }
}
