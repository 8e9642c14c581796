//! Machine code that was compiled before, kept in a folder.
//!
//! A file is named by the content of its module and by all that its machine code depends on: the version of the engine, its
//! settings and this machine's processor. It begins with an authentication code under a key that follows from the secret key,
//! over its name and content, because loading machine code trusts every byte of it: what somebody else wrote, or the disk
//! changed, is as good as not there. The folder is bounded; what was not used for longest goes first.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    time::SystemTime,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use hookyard_domain::ContentHash;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use sha2::Sha256;

use super::answer::{self, Answer};
use crate::engine::Engine;

/// Bytes of the folder: a thousand small plugins, or some dozens that carry an interpreter.
const BYTES_MAX: u64 = 2 << 30;

/// Length of an HMAC-SHA256.
const TAG_BYTES: usize = 32;

/// By the kernel's clock, as everything else in the folder.
const USED_NOW: Timestamps = Timestamps {
    last_access: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    },
    last_modification: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
};

/// Ends the names of files in the folder.
const SUFFIX: &str = "cwasm";

/// The folder. What goes wrong with it costs a compilation and nothing else.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: Key,
    bytes_max: u64,
}

struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Cache {
    /// Keeps files in this folder, which is made when there is something to keep. The key must be known to nobody who can
    /// write there.
    pub fn new(folder: PathBuf, key: [u8; 32]) -> Self {
        Self {
            folder,
            key: Key(key),
            bytes_max: BYTES_MAX,
        }
    }

    pub(super) fn find(&self, engine: &Engine, hash: ContentHash) -> Option<Answer> {
        let name = name(engine, hash);
        let path = self.folder.join(&name);
        let mut bytes = fs::read(&path).ok()?;
        if bytes.len() < TAG_BYTES {
            return None;
        }
        let content = bytes.split_off(TAG_BYTES);
        if self.mac(&name, &content).verify_slice(&bytes).is_err() {
            let _ = fs::remove_file(&path);
            return None;
        }
        // The time of its last use.
        if let Ok(file) = File::open(&path) {
            let _ = futimens(&file, &USED_NOW);
        }
        answer::read(content)?.ok()
    }

    pub(super) fn keep(&self, engine: &Engine, hash: ContentHash, answer: &Answer) {
        let _ = self.write(&name(engine, hash), answer);
    }

    fn write(&self, name: &str, answer: &Answer) -> io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

        let mut content = Vec::new();
        answer::write(&mut content, Ok(answer))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room(content.len() as u64)?;
        // Written beside and renamed, so that nobody finds half a file; by process and thread, for two may compile the same.
        let beside = self
            .folder
            .join(format!(".{name}.{}.{:?}", std::process::id(), std::thread::current().id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        let written = file
            .write_all(&self.mac(name, &content).finalize().into_bytes())
            .and_then(|()| file.write_all(&content))
            .and_then(|()| fs::rename(&beside, self.folder.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    /// Removes what was not used for longest until there is room for so much.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)?
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        let mut taken: u64 = files.iter().map(|(_, len, _)| len).sum();
        files.sort_unstable();
        for (_, len, path) in files {
            if taken + bytes <= self.bytes_max {
                break;
            }
            let _ = fs::remove_file(&path);
            taken -= len;
        }
        Ok(())
    }

    fn mac(&self, name: &str, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("a key may have any length");
        // The name has a fixed length, so where it ends is not in doubt.
        mac.update(name.as_bytes());
        mac.update(content);
        mac
    }
}

fn name(engine: &Engine, hash: ContentHash) -> String {
    format!("{hash}.{:016x}.{SUFFIX}", engine.code_fingerprint())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Settings;

    fn answer(code: &[u8]) -> Answer {
        Answer {
            imports: vec![],
            exports: vec!["x".to_owned()],
            machine_code: code.to_vec(),
        }
    }

    fn only_file(folder: &Path) -> PathBuf {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        file.clone()
    }

    #[test]
    fn what_is_kept_is_found_by_those_who_have_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(&Settings::default()).unwrap();
        let hash = ContentHash::of(b"module");
        let cache = Cache::new(folder.path().join("compiled"), [1; 32]);
        assert_eq!(cache.find(&engine, hash), None);
        cache.keep(&engine, hash, &answer(b"code"));
        assert_eq!(cache.find(&engine, hash), Some(answer(b"code")));
        assert_eq!(cache.find(&engine, ContentHash::of(b"other")), None);
        let stranger = Cache::new(folder.path().join("compiled"), [2; 32]);
        assert_eq!(stranger.find(&engine, hash), None);
    }

    #[test]
    fn a_changed_or_renamed_file_is_as_good_as_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(&Settings::default()).unwrap();
        let [hash, other] = [b"module", b"others"].map(|bytes| ContentHash::of(bytes));
        let cache = Cache::new(folder.path().to_owned(), [1; 32]);
        cache.keep(&engine, hash, &answer(b"code"));
        let whole = fs::read(only_file(folder.path())).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(folder.path().join(name(&engine, hash)), damaged).unwrap();
            assert_eq!(cache.find(&engine, hash), None, "{at}");
        }
        fs::write(folder.path().join(name(&engine, other)), &whole).unwrap();
        assert_eq!(cache.find(&engine, other), None);
    }

    #[test]
    fn the_folder_is_bounded_and_what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(&Settings::default()).unwrap();
        let cache = Cache {
            bytes_max: 3_000,
            ..Cache::new(folder.path().to_owned(), [1; 32])
        };
        let [old, used, new] = [b"1", b"2", b"3"].map(|bytes| ContentHash::of(bytes));
        for (hash, at_s) in [(old, 2_000), (used, 1_000)] {
            cache.keep(&engine, hash, &answer(&[7; 1_000]));
            let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at_s);
            File::open(folder.path().join(name(&engine, hash)))
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        assert!(cache.find(&engine, used).is_some());
        cache.keep(&engine, new, &answer(&[7; 1_000]));
        let found = [old, used, new].map(|hash| cache.find(&engine, hash).is_some());
        assert_eq!(found, [false, true, true]);
    }
}
