//! A temporary folder that only the server's account can enter, removed when dropped.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, process};

use anyhow::{Context, bail};

use super::account::Account;

/// Folders that killed runs left behind may have this process's id in their names, but not more than this many.
const NAMES_TRIED_MAX: u32 = 100;

/// The folder a cluster lives in.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates a folder that did not exist before and gives it to `account`.
    ///
    /// # Errors
    ///
    /// When the temporary folder cannot be written.
    pub(super) fn create(account: &Account) -> anyhow::Result<Self> {
        let parent = env::temp_dir();
        for number in 0..NAMES_TRIED_MAX {
            let path = parent.join(format!("hookyard-postgres-{}-{number}", process::id()));
            // Fails on anything that exists: somebody else may have prepared a folder of this name.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let folder = Self { path };
                    account
                        .own(&folder.path)
                        .with_context(|| format!("cannot give {} to the server's user", folder.path.display()))?;
                    return Ok(folder);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
        }
        bail!("{} holds too many folders hookyard-postgres-* of former runs", parent.display())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("xtask: cannot remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn two_folders_differ_and_both_are_gone_when_dropped() {
        let first = Folder::create(&Account::Current).unwrap();
        let second = Folder::create(&Account::Current).unwrap();
        let paths = [first.path().to_owned(), second.path().to_owned()];
        assert_ne!(paths[0], paths[1]);
        fs::write(paths[0].join("file"), "content").unwrap();
        drop((first, second));
        assert!(paths.iter().all(|path| !path.exists()));
    }

    #[test]
    fn nobody_else_may_enter() {
        let folder = Folder::create(&Account::Current).unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
