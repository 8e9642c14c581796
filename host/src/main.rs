//! The `hookyard` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a child that compiles a module holds nothing of the server, not even its command line's parser.
    hookyard::wasm::compiler::run(std::env::args_os()).unwrap_or_else(hookyard::cli::run)
}
