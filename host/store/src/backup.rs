//! A copy of SQLite's database while a server works on it.
//!
//! Copying the file is not enough: what was committed since the log was last folded in is in the log, and a copy of both is
//! of two moments. SQLite writes the copy itself here, from one view of the database, beside whoever reads and writes; the log
//! grows meanwhile. The copy is flushed before it gets its name, so a name always means a whole copy.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::statements as sql;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} exists already; a backup replaces nothing")]
    Exists(PathBuf),
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0:?} is not a name in UTF-8, which the database needs")]
    Name(PathBuf),
    #[error("cannot copy the database")]
    Database(#[from] rusqlite::Error),
}

/// Copies the database at `from` into a new file, readable by its owner alone. Returns the copy's bytes. Blocks for as long as it
/// takes to read all of it.
///
/// # Errors
/// [`BackupError`]; nothing is left of the copy then.
pub fn backup(from: &Path, to: &Path) -> Result<u64, BackupError> {
    use std::os::unix::fs::OpenOptionsExt as _;

    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    // Said in other letters, the copy would lie elsewhere, and an empty file here.
    if to.to_str().is_none() {
        return Err(BackupError::Name(to.to_owned()));
    }
    let mut beside = to.as_os_str().to_owned();
    beside.push(format!(".part-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let failed = |source| BackupError::Write {
        path: beside.clone(),
        source,
    };
    // SQLite takes an empty file and leaves its mode as it is.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    let copied = copy(from, &beside).and_then(|()| keep(&beside, to).map_err(failed));
    let removed = std::fs::remove_file(&beside);
    let bytes = copied?;
    removed.map_err(failed)?;
    Ok(bytes)
}

fn copy(from: &Path, beside: &Path) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags)?;
    connection.busy_timeout(std::time::Duration::from_millis(super::sqlite::BUSY_TIMEOUT_MS))?;
    connection.execute(sql::COPY_DATABASE, [beside.to_string_lossy()])?;
    Ok(())
}

/// Flushes the copy, which SQLite does not, and gives it its name unless somebody else has taken that.
fn keep(beside: &Path, to: &Path) -> io::Result<u64> {
    let file = File::open(beside)?;
    file.sync_all()?;
    std::fs::hard_link(beside, to)?;
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()?;
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_what_is_in_the_log_and_replaces_nothing() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let writer = Connection::open(&from).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n); INSERT INTO t VALUES (7);")
            .unwrap();
        let bytes = backup(&from, &to).unwrap();
        let found: i64 = Connection::open(&to)
            .unwrap()
            .query_row("SELECT n FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, 7);
        let metadata = to.metadata().unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (bytes, 0o600));
        assert!(matches!(backup(&from, &to), Err(BackupError::Exists(_))));
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.retain(|name| name.to_string_lossy().contains("part"));
        assert!(names.is_empty(), "{names:?}");
    }

    #[test]
    fn a_name_that_the_database_cannot_be_told_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;

        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("a.db");
        Connection::open(&from).unwrap().execute_batch("CREATE TABLE t (n)").unwrap();
        let to = folder.path().join(std::ffi::OsStr::from_bytes(b"b\xff.db"));
        assert!(matches!(backup(&from, &to), Err(BackupError::Name(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_database_leaves_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.db"), folder.path().join("b.db"));
        std::fs::write(
            &from,
            b"This is not a database, though it is long enough to be looked at as one. ".repeat(20),
        )
        .unwrap();
        assert!(matches!(backup(&from, &to), Err(BackupError::Database(_))));
        assert!(matches!(
            backup(&from, Path::new("/no/such/folder/b.db")),
            Err(BackupError::Write { .. })
        ));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
