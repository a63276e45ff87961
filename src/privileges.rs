//! Root steps down: it takes the port and prepares the folders, and then works as an account
//! that may do nothing else.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Accounts that are taken when none is named. They must be in /etc/passwd: initdb does not
/// take a bare number.
const USUAL: [&str; 2] = ["postgres", "nobody"];

/// Somebody without privileges.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub name: String,
    pub user: u32,
    pub group: u32,
    pub home: PathBuf,
}

pub fn is_root() -> bool {
    // SAFETY: geteuid cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The name of the account that this process runs under.
pub fn own_name() -> Option<String> {
    // SAFETY: the entry is read before anybody asks for another one; it is asked for at start only.
    unsafe {
        let entry = libc::getpwuid(libc::geteuid());
        if entry.is_null() { None } else { Some(CStr::from_ptr((*entry).pw_name).to_string_lossy().into_owned()) }
    }
}

/// As root: the account called `named`, or one of the usual ones. `None` when there is nothing
/// to step down from.
pub fn account(named: Option<&str>) -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    match (named, USUAL.iter().find_map(|usual| find(&accounts, usual))) {
        (Some(named), _) => match find(&accounts, named) {
            Some(account) => Ok(Some(account)),
            None => bail!("there is no account {named} in /etc/passwd"),
        },
        (None, Some(account)) => Ok(Some(account)),
        (None, None) => bail!(
            "root needs an account without privileges to work under, and there is neither `postgres` nor `nobody`. Name one with --run-as."
        ),
    }
}

fn find(accounts: &str, wanted: &str) -> Option<Account> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
    let [name, _, user, group, _, home, ..] = line.split(':').collect::<Vec<_>>()[..] else { return None };
    Some(Account { name: name.to_owned(), user: user.parse().ok()?, group: group.parse().ok()?, home: home.into() })
}

/// Whether everyone may pass through the folder.
pub fn is_searchable(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
}

impl Account {
    /// Hands `path` over, with all that lies in it.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        if meta.is_dir() {
            for entry in fs::read_dir(path)? {
                self.give(&entry?.path())?;
            }
        }
        if meta.uid() != self.user { lchown(path, Some(self.user), Some(self.group)) } else { Ok(()) }
    }

    /// From here on this process, all threads of it, is this account and cannot be root again.
    ///
    /// To be called before other threads are started: it sets `HOME`, where libpq looks for
    /// certificates and passwords and would take root's closed folder for a fault.
    pub fn step_down(&self) -> Result<()> {
        // SAFETY: one group, which outlives the call; the others take numbers.
        let failed = unsafe {
            libc::setgroups(1, &self.group) != 0 || libc::setgid(self.group) != 0 || libc::setuid(self.user) != 0
        };
        if failed {
            return Err(io::Error::last_os_error()).with_context(|| format!("cannot step down to {}", self.name));
        }
        // SAFETY: as above; it must fail.
        if self.user != 0 && unsafe { libc::setuid(0) } == 0 {
            bail!("stepping down to {} left a way back", self.name);
        }
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("HOME", &self.home) };
        Ok(())
    }
}

/// No program that this process starts may do more than itself.
pub fn gain_none() {
    // SAFETY: takes numbers. It fails only on kernels without it.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nbugle2:x:7:7::/:\nbugle:x:105:106:Bugle,,,:/var/lib/bugle:/bin/false\n";
        let bugle = Account { name: "bugle".to_owned(), user: 105, group: 106, home: PathBuf::from("/var/lib/bugle") };
        assert_eq!(find(accounts, "bugle"), Some(bugle));
        assert_eq!(find(accounts, "bug"), None);
        assert_eq!(find("broken\nbugle:x:many:1:::\n", "bugle"), None);
    }
}
