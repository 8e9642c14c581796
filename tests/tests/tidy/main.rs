//! What the tree promises about itself, read from its own files.
//!
//! [`arrows`] holds the rooms apart: who may know whom. [`files`] says how a file begins and how long it may get. [`words`]
//! refuses a dialect's words in the engine, and phrases that need a second reading. [`citations`] follows every document,
//! section, promise and suite that a comment or a help text names. [`sql`] prepares every statement on both databases.
//!
//! When a test of this suite fails, either the code is wrong, or the page it contradicts changes in the same commit.

mod arrows;
mod citations;
mod files;
mod sql;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the workspace")
}

/// The files below a folder of the workspace whose name ends in one of these, without what is built or brought along.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    const SKIPPED: [&str; 3] = ["target", "node_modules", "fixtures"];
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be listed") {
            let path = entry.expect("a folder of the workspace can be listed").path();
            if path.is_dir() {
                if !SKIPPED.iter().any(|skipped| path.ends_with(skipped)) {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The Rust files below a folder of the workspace.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let found = files(folder, &["rs"]);
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found
}

fn every_rust_file() -> Vec<PathBuf> {
    ["host", "sdk-guest", "plugins", "tests", "examples", "xtask"]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .collect()
}

/// Everything people read: code, statements, contracts, set-ups and pages.
fn every_text() -> Vec<PathBuf> {
    const FOLDERS: [&str; 8] = ["host", "sdk-guest", "plugins", "tests", "examples", "xtask", "migrations", "docs"];
    let mut found: Vec<PathBuf> = FOLDERS
        .iter()
        .flat_map(|folder| files(folder, &["rs", "sql", "wit", "toml", "md"]))
        .collect();
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Cargo.toml", ".ci/run"];
    found.extend(pages.map(|page| workspace().join(page)));
    found
}

/// A file as one line, without the marks that comments begin with: a sentence may go on over the end of a line.
fn flowing(path: &Path) -> String {
    let text = read(path);
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches(['/', '!', '#', '-', '*']).trim_start());
    lines.collect::<Vec<_>>().join(" ")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", shown(path)))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}

/// What runs in production: without comments and without the file's own tests at its end.
fn production_code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file can be read");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}
