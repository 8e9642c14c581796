//! Closes the three ways by which Rust's standard library reaches outside a component, so that what is built imports
//! `hookyard:plugin` and nothing else.
//!
//! The code of a panic may write to standard error, look for `RUST_BACKTRACE` and exit, which makes thirteen `wasi:*`
//! imports in a plugin that never does any of it. The standard library goes there through three C functions. A definition
//! in the program wins over the one in the C library's archive, so the ones below leave the archive's, and all they
//! import, out of the module. Each of the three has an object file of its own there, so nothing is defined twice.
//!
//! Standard output and error are given a use instead: [`write`] turns them into log lines of the run, so that `println!`
//! and `dbg!` work while a plugin is written, and "memory allocation of … bytes failed" is not lost.
//!
//! A plugin that calls more of the system (files, `std::time`, the seed of a `HashMap`) imports that as usual, for the
//! operator to see. Turn the feature `seal` off if it needs the C functions' real meaning.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};

use crate::log::{self, Level};

/// Bytes of one printed line that are kept in one log line; a longer one is cut in pieces. Fixed, because the line that
/// matters most is printed when no memory is left.
const LINE_BYTES_MAX: usize = 512;

const STDOUT: c_int = 1;
const STDERR: c_int = 2;

thread_local! {
    static PRINTED: RefCell<Line> = const { RefCell::new(Line { bytes: [0; LINE_BYTES_MAX], filled: 0 }) };
}

struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    filled: usize,
}

impl Line {
    fn push(&mut self, byte: u8) {
        if byte != b'\n' {
            self.bytes[self.filled] = byte;
            self.filled += 1;
        }
        if byte == b'\n' || self.filled == LINE_BYTES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let filled = std::mem::take(&mut self.filled);
        match std::str::from_utf8(&self.bytes[..filled]) {
            Ok("") => {}
            Ok(line) => log::write(Level::Info, line, &[]),
            // A character cut by the limit, or bytes that are not text: keep what can be read.
            Err(broken) => {
                let line = std::str::from_utf8(&self.bytes[..broken.valid_up_to()]).unwrap_or_default();
                log::write(Level::Info, line, &[("printed", "cut at a byte that is not text")]);
            }
        }
    }
}

/// Turns standard output and error into log lines; there is no other file to write to.
///
/// # Safety
///
/// As in C: `bytes` points to `count` readable bytes.
#[allow(unsafe_code, reason = "takes the place of a C function")]
#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, bytes: *const c_void, count: usize) -> isize {
    if file != STDOUT && file != STDERR {
        return -1;
    }
    // SAFETY: promised by the caller, who is the standard library printing a slice.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
    PRINTED.with_borrow_mut(|line| bytes.iter().for_each(|&byte| line.push(byte)));
    isize::try_from(count).unwrap_or(isize::MAX)
}

/// Finds no variable: a plugin has no environment.
#[allow(unsafe_code, reason = "takes the place of a C function")]
#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *mut c_char {
    std::ptr::null_mut()
}

/// Stops the instance; the host sees the trap and, in the log, the panic's message before it.
#[allow(unsafe_code, reason = "takes the place of a C function")]
#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    core::arch::wasm32::unreachable()
}
