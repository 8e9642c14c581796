//! How a file begins, how long it may get, and what must not be in it.

use std::fs;

use super::{every_rust_file, production_code, rust_files, shown};

/// A file of the server longer than this holds a second idea.
const HOST_LINES_MAX: usize = 600;

#[test]
fn only_the_clock_asks_for_the_time() {
    for path in rust_files("host") {
        let asks = production_code(&path).contains("SystemTime::now");
        assert_eq!(asks, path.ends_with("host/src/clock.rs"), "{}", shown(&path));
    }
}

#[test]
fn sql_is_in_the_lists_of_statements_and_nowhere_else() {
    for path in rust_files("host") {
        if path.to_string_lossy().contains("store/src/statements/") || path.ends_with("store/src/migrate.rs") {
            continue;
        }
        let code = production_code(&path);
        for verb in ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE"] {
            assert!(!code.contains(&format!("\"{verb} ")), "{} holds a statement: {verb}", shown(&path));
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = every_rust_file()
        .iter()
        .filter(|path| !fs::read_to_string(path).expect("a source file can be read").starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert!(silent.is_empty(), "no header in {silent:#?}");
}

#[test]
fn no_file_of_the_server_holds_two_ideas() {
    for path in rust_files("host") {
        let lines = fs::read_to_string(&path).expect("a source file can be read").lines().count();
        assert!(lines <= HOST_LINES_MAX, "{} has {lines} lines", shown(&path));
    }
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let marks = ["TODO", "FIXME", "XXX"].map(|mark| format!("// {mark}"));
    let ignored = [format!("#[{}", "ignore")];
    for path in every_rust_file() {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        for word in macros.iter().chain(&marks).chain(&ignored) {
            assert!(!text.contains(word), "{} holds {word}", shown(&path));
        }
    }
}
