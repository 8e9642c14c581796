//! Which files the folder holds, `<folder>/<tenant>/<plugin>.wasm`, and the notices that something in it changed.
//!
//! The folder is watched, not the files: replacing a file by a rename gives it a new inode. Names that begin with a
//! dot are left alone, because editors and copy tools write there first.

use std::{
    io,
    path::{Path, PathBuf},
};

use hookyard_domain::Timestamp;
use notify::{RecursiveMode, Watcher};

use crate::plugins::offer::check_name;

/// Files one scan takes up; far above what a folder of plugins holds.
const FILES_MAX: usize = 10_000;

/// A module file and what its place says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub modified_at: Timestamp,
    pub tenant: String,
    pub plugin: String,
}

/// What the folder holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// The module files, in a stable order.
    pub found: Vec<Found>,
    /// Files that are not taken for plugins where they are, and why.
    pub misplaced: Vec<(PathBuf, &'static str)>,
}

/// Reads the folder. One that does not exist is empty.
pub fn scan(folder: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    for (tenant, folder) in visible(folder)? {
        if !folder.is_dir() {
            if tenant.ends_with(".wasm") {
                scan.misplaced.push((folder, "a plugin belongs in its tenant's folder"));
            }
            continue;
        }
        for (file, path) in visible(&folder)? {
            let Some(plugin) = file.strip_suffix(".wasm") else { continue };
            if let Err(why) = check_name(plugin) {
                scan.misplaced.push((path, why));
                continue;
            }
            // Of the entry itself: a link may lead anywhere, to a device that never ends too.
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if let Some(why) = not_a_file(&metadata) {
                scan.misplaced.push((path, why));
                continue;
            }
            if scan.found.len() < FILES_MAX {
                scan.found.push(Found {
                    plugin: plugin.to_owned(),
                    modified_at: modified_at(&metadata),
                    tenant: tenant.clone(),
                    path,
                });
            }
        }
    }
    scan.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scan)
}

/// Why an entry is not read.
fn not_a_file(metadata: &std::fs::Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_symlink() {
        Some("it is a symbolic link; put the file itself there")
    } else if kind.is_dir() {
        Some("it is a folder, not a file")
    } else {
        Some("it is not a regular file")
    }
}

/// Opens a module file without waiting: what was a file a moment ago may be a pipe or a link by now.
pub fn open(path: &Path) -> io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags};
    let file = std::fs::File::from(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?);
    match not_a_file(&file.metadata()?) {
        None => Ok(file),
        Some(why) => Err(io::Error::other(why)),
    }
}

/// A file system that keeps no times counts every file as new.
fn modified_at(metadata: &std::fs::Metadata) -> Timestamp {
    let since_epoch = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since_epoch.map_or(Timestamp::from_micros(i64::MAX), |since| Timestamp::EPOCH.plus(since))
}

fn visible(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect())
}

/// Calls `changed` whenever something in the folder is written, renamed or made, for as long as the watcher lives.
pub fn watch(folder: &Path, changed: impl Fn() + Send + 'static) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        Ok(event) if event.kind.is_access() && !is_close_after_write(event.kind) => {}
        // An error may be an overflow of the queue: something happened.
        Ok(_) | Err(_) => changed(),
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

fn is_close_after_write(kind: notify::EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_wasm_files_of_tenant_folders_are_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for tenant in ["acme", ".hidden"] {
            std::fs::create_dir(folder.path().join(tenant)).expect("a folder");
        }
        for file in [
            "acme/Bad Name.wasm",
            "acme/route.wasm",
            "acme/.route.wasm.tmp",
            "acme/notes.txt",
            ".hidden/x.wasm",
            "stray.wasm",
        ] {
            std::fs::write(folder.path().join(file), b"x").expect("a file");
        }
        let scan = scan(folder.path()).expect("the folder is readable");
        let names: Vec<_> = scan
            .found
            .iter()
            .map(|found| (found.tenant.as_str(), found.plugin.as_str()))
            .collect();
        assert_eq!(names, [("acme", "route")]);
        let mut misplaced: Vec<_> = scan.misplaced.iter().filter_map(|(path, _)| path.file_name()).collect();
        misplaced.sort_unstable();
        assert_eq!(misplaced, ["Bad Name.wasm", "stray.wasm"]);
    }

    #[test]
    fn what_is_not_a_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tenant = folder.path().join("acme");
        std::fs::create_dir_all(tenant.join("folder.wasm")).expect("a folder");
        std::os::unix::fs::symlink("/dev/zero", tenant.join("link.wasm")).expect("a link");
        let made = std::process::Command::new("mkfifo").arg(tenant.join("pipe.wasm")).status();
        assert!(made.expect("there is mkfifo").success());
        let scan = scan(folder.path()).expect("the folder is readable");
        assert_eq!(scan.found, []);
        let mut whys: Vec<_> = scan.misplaced.iter().map(|(_, why)| *why).collect();
        whys.sort_unstable();
        assert_eq!(
            whys,
            [
                "it is a folder, not a file",
                "it is a symbolic link; put the file itself there",
                "it is not a regular file"
            ]
        );
        // What took a file's place after it was found.
        for name in ["folder.wasm", "link.wasm", "pipe.wasm"] {
            assert!(open(&tenant.join(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        assert!(scan(Path::new("no/such/folder")).is_ok_and(|scan| scan.found.is_empty() && scan.misplaced.is_empty()));
    }
}
