//! The log of one run: a few lines kept with the decision, never a way to fill the host's memory or disk.
//!
//! Lines come from the contract's `log` interface and from the standard streams, which WASI guests print to without
//! being asked. The most recent error line is remembered apart from the bounded list, because it is usually the text
//! of a panic and the one line its owner needs.

/// Lines kept per run: enough for a trace of a decision, few enough to show on a page.
pub(super) const LINES_MAX: usize = 64;

/// Bytes of text kept per run, so that a stored decision stays small beside its event.
pub(super) const LOG_BYTES_MAX: usize = 4 << 10;

/// Bytes kept of one line; the rest is cut at a character boundary.
pub(super) const LINE_BYTES_MAX: usize = 1 << 10;

/// How much a line matters, as the plugin said; lines on stdout are `Info`, lines on stderr `Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One kept line, fields already written behind the message as ` key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub level: Level,
    pub text: String,
}

/// Which standard stream a guest printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Collects the lines of one run within the bounds above.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u32,
    last_error: Option<String>,
    /// The unfinished line of each stream, by `Stream as usize`; never longer than [`LINE_BYTES_MAX`].
    partial: [Vec<u8>; 2],
}

impl Log {
    /// Says whether a line of this level would be looked at; error lines always are.
    pub(super) fn wants(&self, level: Level) -> bool {
        level == Level::Error || self.has_room()
    }

    /// Keeps the line, cut to its bound, or counts it as dropped.
    pub(super) fn push(&mut self, level: Level, text: &str) {
        let text = cut(text, LINE_BYTES_MAX);
        if level == Level::Error && !is_panic_footnote(text) {
            self.last_error = Some(text.to_owned());
        }
        if self.lines.len() >= LINES_MAX || self.bytes + text.len() > LOG_BYTES_MAX {
            self.drop_lines(1);
            return;
        }
        self.bytes += text.len();
        self.lines.push(LogLine {
            level,
            text: text.to_owned(),
        });
    }

    pub(super) fn drop_lines(&mut self, count: usize) {
        self.dropped = self.dropped.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Takes what a guest printed and keeps each finished line.
    pub(super) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let partial = &mut self.partial[stream as usize];
            let room = LINE_BYTES_MAX - partial.len();
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            partial.extend_from_slice(&text[..text.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.finish_line(stream);
            }
        }
    }

    /// Closes the log: unfinished lines count as lines.
    pub(super) fn finish(mut self) -> (Vec<LogLine>, u32, Option<String>) {
        self.finish_line(Stream::Stdout);
        self.finish_line(Stream::Stderr);
        (self.lines, self.dropped, self.last_error)
    }

    pub(super) fn has_room(&self) -> bool {
        self.lines.len() < LINES_MAX && self.bytes < LOG_BYTES_MAX
    }

    fn finish_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.partial[stream as usize]);
        // A stream has no notion of empty lines worth keeping: Rust's panic report begins with one.
        if line.is_empty() {
            return;
        }
        let level = match stream {
            Stream::Stdout => Level::Info,
            Stream::Stderr => Level::Error,
        };
        self.push(level, &String::from_utf8_lossy(&line));
    }
}

/// Recognises the last line of a Rust panic report, which says how to see a backtrace and nothing about the cause.
fn is_panic_footnote(line: &str) -> bool {
    line.starts_with("note: ")
}

/// Cuts `text` to at most `bytes_max` bytes at a character boundary.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_keeps_the_first_lines_and_counts_the_rest() {
        let mut log = Log::default();
        for _ in 0..1_000 {
            log.push(Level::Info, "x");
        }
        let (lines, dropped, _) = log.finish();
        assert_eq!((lines.len(), dropped), (LINES_MAX, 1_000 - LINES_MAX as u32));
    }

    #[test]
    fn the_bytes_of_all_lines_are_bounded() {
        let mut log = Log::default();
        for _ in 0..10 {
            log.push(Level::Info, &"y".repeat(3 * LINE_BYTES_MAX));
        }
        let (lines, dropped, _) = log.finish();
        assert_eq!(lines.iter().map(|line| line.text.len()).sum::<usize>(), LOG_BYTES_MAX);
        assert_eq!(dropped, 6);
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let mut log = Log::default();
        log.push(Level::Info, &format!("a{}", "é".repeat(LINE_BYTES_MAX)));
        let (lines, ..) = log.finish();
        assert_eq!(lines[0].text.len(), LINE_BYTES_MAX - 1);
        assert!(lines[0].text.ends_with('é'));
    }

    #[test]
    fn an_error_is_remembered_when_the_log_is_full() {
        let mut log = Log::default();
        for _ in 0..LINES_MAX {
            log.push(Level::Debug, "noise");
        }
        assert!(!log.wants(Level::Warn));
        assert!(log.wants(Level::Error));
        log.push(Level::Error, "the cause");
        assert_eq!(log.finish().2.as_deref(), Some("the cause"));
    }

    #[test]
    fn printed_text_becomes_lines_however_it_is_split() {
        let mut log = Log::default();
        log.print(Stream::Stderr, b"\nthread 'main' pan");
        log.print(Stream::Stdout, b"one\ntw");
        log.print(
            Stream::Stderr,
            b"icked at lib.rs:1:1:\nthe dog ate it\nnote: run with a backtrace\n",
        );
        log.print(Stream::Stdout, b"o");
        let (lines, dropped, last_error) = log.finish();
        let texts: Vec<_> = lines.iter().map(|line| (line.level, line.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                (Level::Info, "one"),
                (Level::Error, "thread 'main' panicked at lib.rs:1:1:"),
                (Level::Error, "the dog ate it"),
                (Level::Error, "note: run with a backtrace"),
                (Level::Info, "two"),
            ]
        );
        assert_eq!((dropped, last_error.as_deref()), (0, Some("the dog ate it")));
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_room_than_a_line() {
        let mut log = Log::default();
        for _ in 0..1_000 {
            log.print(Stream::Stdout, &[b'z'; 100]);
        }
        let (lines, ..) = log.finish();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text.len(), LINE_BYTES_MAX);
    }
}
