//! Memory that writes on their way to the disk may take.
//!
//! A lane bounds how many writes wait, not how large they are: a decision holds the payloads its plugin made, up to
//! 16 MiB each. Whoever finds no memory waits for some.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// What decisions on their way to the disk may take. One always fits, whatever its size.
const DECISION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Memory shared by all decisions of a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Taken>);

#[derive(Debug, Default)]
struct Taken {
    bytes: Mutex<usize>,
    less: Condvar,
}

impl Memory {
    /// Takes so many bytes, waiting until they are there. Blocks: for threads of a stage's own, not for async code.
    pub(super) fn take(&self, bytes: usize) -> Share {
        let mut taken = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken > 0 && *taken + bytes > DECISION_BYTES_MAX {
            taken = self.0.less.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        Share {
            of: Arc::clone(&self.0),
            bytes,
        }
    }
}

/// Memory that was taken; given back when dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Taken>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.of.bytes.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.of.less.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{RecvTimeoutError, channel},
        time::Duration,
    };

    use super::*;

    /// 512 decisions of 16 MiB waited for a stalled database at once: 8 GiB.
    #[test]
    fn decisions_on_their_way_share_bounded_memory() {
        let memory = Memory::default();
        let first = memory.take(2 * DECISION_BYTES_MAX);
        let (told, hears) = channel();
        let waiting = std::thread::spawn(move || {
            let share = memory.take(1);
            told.send(()).ok();
            drop(share);
        });
        assert_eq!(
            hears.recv_timeout(Duration::from_millis(50)),
            Err(RecvTimeoutError::Timeout),
            "no memory is left"
        );
        drop(first);
        assert_eq!(hears.recv_timeout(Duration::from_secs(10)), Ok(()));
        assert!(waiting.join().is_ok());
    }
}
