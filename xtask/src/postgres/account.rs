//! Which user the server runs as. PostgreSQL refuses to run as root, so under root an unprivileged account is looked up.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use rustix::process::geteuid;

/// In order of preference: the package's own account, then the one that owns no files.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user a PostgreSQL server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The user who called this program.
    Current,
    /// Another one, because the caller is root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Chooses the account for this process's user.
    ///
    /// # Errors
    ///
    /// When the caller is root and `/etc/passwd` has no unprivileged account.
    pub(super) fn for_server() -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::Current);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        match UNPRIVILEGED.iter().find_map(|name| named(name, &passwd)) {
            Some(account) => Ok(account),
            None => bail!("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as"),
        }
    }

    /// Makes a command run as this account, without root's supplementary groups (the standard library drops them).
    pub(super) fn apply(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives a file or folder to this account.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(super) fn own(self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Current => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
        }
    }
}

/// Looks a name up in the text of a passwd(5) file. Root under another name is not taken.
fn named(name: &str, passwd: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Account::Other { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:admin,,,:/var/lib/postgresql:/bin/bash\n\
                          toor:x:0:0::/:/bin/sh\nbroken:x\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        assert_eq!(named("postgres", PASSWD), Some(Account::Other { uid: 101, gid: 104 }));
        assert_eq!(named("post", PASSWD), None);
        assert_eq!(named("broken", PASSWD), None);
    }

    #[test]
    fn root_is_never_chosen_whatever_it_is_called() {
        assert_eq!(named("toor", PASSWD), None);
    }
}
