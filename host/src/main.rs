//! The `hookyard` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookyard::cli::run()
}
