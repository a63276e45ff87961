//! io: The mark: what a process knows, in a file outside of the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Fact;

/// Processes of one installation on one machine at most.
const SLOTS: usize = 64;

/// A place for the mark of one process. Whoever starts next takes the same place, and so
/// finds what the one before knew.
pub struct Slot {
    path: PathBuf,
    /// What is added now goes here; `None` until the mark has been written once.
    file: Option<File>,
    /// What was added while the mark was being written anew; it goes into both.
    meanwhile: Option<String>,
    /// Marks of processes that are gone, whose facts are among those of this one.
    inherited: Vec<(PathBuf, File)>,
    /// Held as long as the process lives, and let go by the system however it ends.
    _lock: File,
}

impl Slot {
    /// Takes the first free place for marks of `installation` in the folder, and returns it with
    /// what stands there and in the places of others that are gone.
    pub fn take(dir: &Path, installation: &str) -> io::Result<(Slot, Vec<Fact>)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut mine: Option<Slot> = None;
        let mut facts = Vec::new();
        for n in 0..SLOTS {
            let path = dir.join(format!("{installation}-{n}"));
            let lock_path = path.with_extension("lock");
            // The first without a lock file was never taken, nor was any after it.
            if mine.is_some() && !lock_path.exists() {
                break;
            }
            let lock = private().create(true).open(&lock_path)?;
            if lock.try_lock().is_err() {
                continue;
            }
            facts.extend(read(&path)?);
            match &mut mine {
                Some(slot) => slot.inherited.push((path, lock)),
                None => {
                    mine = Some(Slot { path, file: None, meanwhile: None, inherited: Vec::new(), _lock: lock });
                }
            }
        }
        let slot =
            mine.ok_or_else(|| io::Error::other(format!("all {SLOTS} places in {} are taken", dir.display())))?;
        Ok((slot, facts))
    }

    /// Adds a fact. It is with the system when this returns, and outlives the process.
    pub fn add(&mut self, fact: &Fact) -> io::Result<()> {
        let line = line(fact);
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.push_str(&line);
        }
        match &mut self.file {
            Some(file) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }

    /// Says where to write the mark anew. What is [added](Self::add) until it is
    /// [replaced](Self::replace) goes into both.
    pub fn begin(&mut self) -> PathBuf {
        self.meanwhile = Some(String::new());
        self.path.with_extension("new")
    }

    /// Leaves the mark as it is: there is nothing that it lacks.
    pub fn leave(&mut self) {
        self.meanwhile = None;
    }

    /// Puts the new mark in the place of the old one.
    pub fn replace(&mut self, new: io::Result<File>) -> io::Result<()> {
        let meanwhile = self.meanwhile.take().unwrap_or_default();
        let mut new = new?;
        new.write_all(meanwhile.as_bytes())?;
        fs::rename(self.path.with_extension("new"), &self.path)?;
        self.file = Some(new);
        for (path, _lock) in self.inherited.drain(..) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) | Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Writes these facts to a new file, and waits until they would outlive a power cut.
pub fn write(path: &Path, facts: &[Fact]) -> io::Result<File> {
    let mut file = private().create(true).truncate(true).open(path)?;
    file.write_all(facts.iter().map(line).collect::<String>().as_bytes())?;
    file.sync_data()?;
    Ok(file)
}

/// What stands in a mark. A last line that was cut off is passed over.
fn read(path: &Path) -> io::Result<Vec<Fact>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn line(fact: &Fact) -> String {
    // A fact is numbers, instants and names: there is nothing in it that JSON could refuse.
    let mut line = serde_json::to_string(fact).unwrap_or_default();
    line.push('\n');
    line
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;

    fn reply(n: i64) -> Fact {
        Fact::Reply { at: chrono::DateTime::from_timestamp(n, 0).unwrap(), id: MessageId(n), attempt: 1 }
    }

    fn rewrite(slot: &mut Slot, facts: &[Fact]) {
        let new = write(&slot.begin(), facts);
        slot.replace(new).unwrap();
    }

    #[test]
    fn whoever_starts_next_finds_what_was_known_and_what_others_left_that_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, facts) = Slot::take(dir.path(), "house").unwrap();
        assert!(facts.is_empty());
        rewrite(&mut first, &[reply(1)]);
        first.add(&reply(2)).unwrap();
        let (mut second, facts) = Slot::take(dir.path(), "house").unwrap();
        assert!(facts.is_empty(), "the first lives, and keeps its own");
        rewrite(&mut second, &[reply(3)]);
        let (_, facts) = Slot::take(dir.path(), "another").unwrap();
        assert!(facts.is_empty(), "another installation");

        drop((first, second));
        let (mut third, facts) = Slot::take(dir.path(), "house").unwrap();
        assert_eq!(facts, [reply(1), reply(2), reply(3)]);
        drop(third);
        (third, _) = Slot::take(dir.path(), "house").unwrap();
        rewrite(&mut third, &[reply(4)]);
        drop(third);
        let (_, facts) = Slot::take(dir.path(), "house").unwrap();
        assert_eq!(facts, [reply(4)], "what was taken over stands once");
    }

    #[test]
    fn what_is_added_while_the_mark_is_written_anew_is_in_it_and_half_a_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slot, _) = Slot::take(dir.path(), "house").unwrap();
        rewrite(&mut slot, &[reply(1)]);
        let new = write(&slot.begin(), &[reply(1), reply(2)]);
        slot.add(&reply(3)).unwrap();
        slot.replace(new).unwrap();
        slot.file.as_mut().unwrap().write_all(b"{\"reply\":{\"at\":").unwrap();

        drop(slot);
        assert_eq!(Slot::take(dir.path(), "house").unwrap().1, [reply(1), reply(2), reply(3)]);
    }
}
