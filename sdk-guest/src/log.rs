//! Log lines of a run. The host keeps them with the decision and caps their number and size; what is over the cap is
//! counted and thrown away. Natively they go to standard error, where a test shows them when it fails.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Whether a line of that level would be kept; ask before building an expensive one.
pub fn enabled(level: Level) -> bool {
    host::enabled(level)
}

/// Writes a line with its fields.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    host::write(level, message, fields);
}

/// Writes a line for someone who debugs this plugin.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    write(Level::Debug, message, fields);
}

/// Writes a line for someone who asks why an event went where it did.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    write(Level::Info, message, fields);
}

/// Writes a line about something odd that did not stop the decision.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    write(Level::Warn, message, fields);
}

/// Writes a line about something that did.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    write(Level::Error, message, fields);
}

#[cfg(target_arch = "wasm32")]
mod host {
    use super::Level;
    use crate::bindings::hookyard::plugin::log as imported;

    pub(super) fn enabled(level: Level) -> bool {
        imported::enabled(spelled(level))
    }

    pub(super) fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        imported::write(spelled(level), message, &fields);
    }

    fn spelled(level: Level) -> imported::Level {
        match level {
            Level::Trace => imported::Level::Trace,
            Level::Debug => imported::Level::Debug,
            Level::Info => imported::Level::Info,
            Level::Warn => imported::Level::Warn,
            Level::Error => imported::Level::Error,
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod host {
    use super::Level;

    pub(super) fn enabled(_: Level) -> bool {
        true
    }

    pub(super) fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
        eprintln!("{level:?}: {message} {fields:?}");
    }
}
