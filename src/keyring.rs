//! io: The keys under which credentials lie in the database. They never lie in it themselves: a dump
//! of the database, or a copy of it, gives nobody's account away.
//!
//! What is sealed names its key, so that old and new ones can be used side by side while
//! `bugle reseal` puts everything under the first.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use sha2::{Digest, Sha256};

/// Whatever else the same keys may come to seal is told apart by this.
const SEALED_FOR: &[u8] = b"bugle credentials 1";
/// In front of everything that was sealed this way.
const FORM: &str = "k1";
const NONCE: usize = 12;

/// 32 bytes for AES-256.
type Key = [u8; 32];

/// The keys, newest first. Without one nothing can be sealed.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Arc<RwLock<Vec<Key>>>,
    /// Where they come from; read again when something was sealed under a key that is not known.
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KeyringError {
    #[error("there is no key to seal credentials with; say where it lies with BUGLE_SECRET_KEY_FILE")]
    NoKey,
    #[error("no key here opens these credentials; they were sealed under the key {0}")]
    OtherKey(String),
    #[error("these credentials were damaged")]
    Damaged,
}

/// A key by which it is found again, and which gives nothing of it away.
fn name_of(key: &Key) -> String {
    hex(Sha256::digest(key).get(..4).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let even = text.is_ascii() && text.len().is_multiple_of(2);
    even.then(|| (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect())?
}

/// Keys from a file or a variable: 64 hexadecimal digits each, the newest first, on lines or behind commas.
/// The error says what is wrong.
fn read(text: &str) -> Result<Vec<Key>, String> {
    let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let key = |word: &str| unhex(word).and_then(|bytes| Key::try_from(bytes).ok());
    let keys: Option<Vec<Key>> = words.map(key).collect();
    match keys {
        Some(keys) if !keys.is_empty() => Ok(keys),
        _ => Err("a key is 64 hexadecimal digits, such as `openssl rand -hex 32` writes".to_owned()),
    }
}

impl Keyring {
    pub fn of(keys: &[Key]) -> Keyring {
        Keyring { keys: Arc::new(RwLock::new(keys.to_vec())), file: None }
    }

    /// Keys from a variable.
    pub fn of_text(text: &str) -> Result<Keyring, String> {
        read(text).map(|keys| Keyring::of(&keys))
    }

    /// Keys from a file, which must be there.
    pub fn of_file(path: &Path) -> io::Result<Keyring> {
        let keys = read(&fs::read_to_string(path)?).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        Ok(Keyring { keys: Arc::new(RwLock::new(keys)), file: Some(path.to_owned()) })
    }

    /// The same; one that is not there yet is made, with a new key, readable by us alone.
    pub fn of_file_or_new(path: &Path) -> io::Result<Keyring> {
        if !path.exists() {
            // Written beside it first: another process that starts now finds the whole key or none, and so does whoever
            // starts after this one was killed.
            let beside = path.with_extension(format!("{:016x}", rand::random::<u64>()));
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            writeln!(file, "{}", hex(&rand::random::<Key>()))?;
            file.sync_all()?;
            let made = fs::hard_link(&beside, path);
            fs::remove_file(&beside)?;
            match made {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Keyring::of_file(path)
    }

    /// Puts a new key in front of those in the file. Whoever reads it from now on seals with it.
    pub fn renew(&self) -> io::Result<()> {
        self.rewrite(|keys| keys.insert(0, rand::random()))
    }

    /// Takes all keys but the newest out of the file.
    pub fn forget_old(&self) -> io::Result<()> {
        self.rewrite(|keys| keys.truncate(1))
    }

    fn rewrite(&self, change: impl FnOnce(&mut Vec<Key>)) -> io::Result<()> {
        let Some(path) = &self.file else {
            let what = "the keys do not come from a file; change them where they come from";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        };
        let mut keys = self.keys.write().unwrap();
        change(&mut keys);
        let lines: String = keys.iter().map(|key| format!("{}\n", hex(key))).collect();
        let beside = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    }

    pub fn seal(&self, text: &str) -> Result<String, KeyringError> {
        let key = *self.keys.read().unwrap().first().ok_or(KeyringError::NoKey)?;
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: text.as_bytes(), aad: SEALED_FOR };
        let sealed = Aes256Gcm::new(&key.into()).encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| KeyringError::Damaged)?;
        Ok(format!("{FORM}:{}:{}{}", name_of(&key), hex(&nonce), hex(&sealed)))
    }

    pub fn open(&self, sealed: &str) -> Result<String, KeyringError> {
        let mut parts = sealed.split(':');
        let (Some(FORM), Some(name), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyringError::Damaged);
        };
        let bytes = unhex(bytes).ok_or(KeyringError::Damaged)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or(KeyringError::Damaged)?;
        let key = self.named(name).ok_or_else(|| KeyringError::OtherKey(name.to_owned()))?;
        let payload = Payload { msg: sealed, aad: SEALED_FOR };
        let opened = Aes256Gcm::new(&key.into()).decrypt(Nonce::from_slice(nonce), payload);
        opened.ok().and_then(|text| String::from_utf8(text).ok()).ok_or(KeyringError::Damaged)
    }

    /// Whether it was sealed under the newest key.
    pub fn is_current(&self, sealed: &str) -> bool {
        let newest = self.keys.read().unwrap().first().map(name_of);
        newest.is_some_and(|name| sealed.split(':').nth(1) == Some(name.as_str()))
    }

    fn named(&self, name: &str) -> Option<Key> {
        let known = |keys: &[Key]| keys.iter().find(|key| name_of(key) == name).copied();
        if let Some(key) = known(&self.keys.read().unwrap()) {
            return Some(key);
        }
        // Somebody renewed it meanwhile.
        let again = read(&fs::read_to_string(self.file.as_ref()?).ok()?).ok()?;
        let key = known(&again)?;
        *self.keys.write().unwrap() = again;
        Some(key)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({})", self.keys.read().unwrap().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_with_its_key_and_with_no_other() {
        let (old, new) = ([1; 32], [2; 32]);
        let sealed = Keyring::of(&[old]).seal("s3cret €").unwrap();
        assert!(!sealed.contains("s3cret") && sealed != Keyring::of(&[old]).seal("s3cret €").unwrap());
        assert_eq!(Keyring::of(&[new, old]).open(&sealed).as_deref(), Ok("s3cret €"));
        assert_eq!(Keyring::of(&[new]).open(&sealed), Err(KeyringError::OtherKey(name_of(&old))));
        assert!(Keyring::of(&[old, new]).is_current(&sealed) && !Keyring::of(&[new, old]).is_current(&sealed));

        let last = if sealed.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", sealed.get(..sealed.len() - 1).unwrap());
        for damaged in [changed.as_str(), "", "k1:00", &sealed.replace("k1:", "k2:")] {
            assert_eq!(Keyring::of(&[old]).open(damaged), Err(KeyringError::Damaged), "{damaged}");
        }
        assert_eq!(Keyring::default().seal("x"), Err(KeyringError::NoKey));
        assert_eq!(format!("{:?}", Keyring::of(&[old])), "Keyring(1)");
    }

    #[test]
    fn a_key_is_made_once_renewed_and_found_again_by_those_who_read_it_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret-key");
        assert!(Keyring::of_file(&path).is_err());
        let (ours, theirs) = (Keyring::of_file_or_new(&path).unwrap(), Keyring::of_file_or_new(&path).unwrap());
        let before = ours.seal("x").unwrap();
        assert_eq!(theirs.open(&before).as_deref(), Ok("x"), "it is one key");

        // Of those that start together each finds the whole of the one key.
        let together = dir.path().join("together");
        let sealed: Vec<String> = std::thread::scope(|scope| {
            let starts = (0..8).map(|_| scope.spawn(|| Keyring::of_file_or_new(&together).unwrap().seal("x").unwrap()));
            starts.collect::<Vec<_>>().into_iter().map(|it| it.join().unwrap()).collect()
        });
        let one = Keyring::of_file(&together).unwrap();
        assert!(sealed.iter().all(|it| one.open(it).as_deref() == Ok("x")));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");

        ours.renew().unwrap();
        let after = ours.seal("y").unwrap();
        assert!(ours.is_current(&after) && !ours.is_current(&before));
        assert_eq!(theirs.open(&after).as_deref(), Ok("y"), "the file is read again");
        assert_eq!(theirs.open(&before).as_deref(), Ok("x"));
        ours.forget_old().unwrap();
        assert!(Keyring::of_file(&path).unwrap().open(&before).is_err());
        assert!(Keyring::of(&[[1; 32]]).renew().is_err(), "whoever gives it in a variable renews it there");

        for wrong in ["", "abc", &"0".repeat(63), &format!("{} x", "0".repeat(64))] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(&format!("{}, {}\n", "00".repeat(32), "ff".repeat(32))).unwrap(), [[0; 32], [255; 32]]);
    }
}
