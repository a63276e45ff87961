//! Taking a file in: from the request to a temporary file to the database, with
//! the same memory however large it is.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use actix_multipart::Field;
use chrono::{DateTime, Utc};
use diesel::Connection;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::domain::Head;
use super::head::{Utf8Check, read_head};
use super::refusal::Refusal;
use super::store;
use super::table::Unread;
use crate::app::App;
use crate::channels::Kind;
use crate::db::Db;
use crate::ids::{FileId, UserId};
use crate::journal::{self, Entry};

/// The largest file that is taken.
pub const LARGEST: u64 = 512 << 20;
/// How much more of a file that is too large is read, so that the browser hears
/// why it was refused. Past this the connection is cut.
const PATIENCE: u64 = 512 << 20;

/// Why an upload came to nothing. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl From<Unread> for Failed {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Refused(refusal) => Failed::Refused(refusal),
            Unread::Broken(error) => Failed::Broken(error.into()),
        }
    }
}

/// Takes in the file that a form's field holds. It then waits for its mapping.
pub async fn receive(
    app: &App,
    field: &mut Field,
    kind: Kind,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<FileId, Failed> {
    let name = field.content_disposition().and_then(|d| d.get_filename()).map(plain_name).unwrap_or_default();
    let mut spool = Spool::new().map_err(anyhow::Error::from)?;
    let mut piece = Vec::new();
    let mut n_dropped = 0;
    while let Some(bytes) = field.try_next().await.map_err(|_| Refusal::BrokeOff)? {
        if spool.size + (piece.len() + bytes.len()) as u64 > LARGEST {
            piece.clear();
            n_dropped += bytes.len() as u64;
            if n_dropped > PATIENCE {
                break;
            }
        } else if n_dropped == 0 {
            piece.extend_from_slice(&bytes);
        }
        if piece.len() >= store::CHUNK {
            (spool, piece) = blocking(move || spool.add(piece)).await?;
        }
    }
    if n_dropped > 0 {
        return Err(Refusal::TooLarge { most_mib: LARGEST >> 20 }.into());
    }
    let (spool, _) = blocking(move || spool.add(piece)).await?;
    if spool.size == 0 && name.is_empty() {
        return Err(Refusal::NoFile.into());
    }

    let db = app.db.clone();
    let name = if name.is_empty() { "upload".to_owned() } else { name };
    spawn_blocking(move || {
        let head = read_head(&spool.file, spool.size, spool.utf8.passed())?;
        let mut conn = db.open().map_err(anyhow::Error::from)?;
        let id = conn.transaction(|conn| spool.keep(conn, &name, kind, &head, by, now))?;
        Ok(id)
    })
    .await
    .map_err(anyhow::Error::from)?
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
    let head = read_head(&spool.file, spool.size, spool.utf8.passed())?;
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

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Failed> {
    Ok(spawn_blocking(work).await.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?)
}

/// Without folders and characters that no name has, and not endless.
pub fn plain_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(200).collect::<String>().trim().to_owned()
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

    fn keep(
        &self,
        conn: &mut diesel::PgConnection,
        name: &str,
        kind: Kind,
        head: &Head,
        by: UserId,
        now: DateTime<Utc>,
    ) -> anyhow::Result<FileId> {
        let sha256 = self.hash.clone().finalize();
        let upload = store::Upload { name, size_bytes: self.size as i64, sha256: &sha256, kind, head };
        let id = store::insert(conn, &upload, by, now)?;
        let entry = Entry {
            happened: "file.received",
            campaign: None,
            subject: id.0,
            by: Some(by),
            was: None,
            became: Some("received"),
            why: None,
        };
        journal::record(conn, &entry, now)?;

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
        assert_eq!(plain_name("a\u{0}b\n.csv"), "ab.csv");
        assert_eq!(plain_name(&"x".repeat(5000)).len(), 200);
    }
}
