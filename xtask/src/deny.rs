//! What enters the dependency tree, judged by `cargo-deny` with the rules of `deny.toml`.
//!
//! The program is installed once into the target folder, in the version named here, so that every machine judges by the same one;
//! licences, bans and sources then need only what cargo downloads. Advisories need a copy of
//! their database, which not every build machine can fetch: where there is none, this says so in so many words and goes on.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::foreground::Foreground;
use crate::workspace::Workspace;

/// Whoever moves this compares the rules of `deny.toml` with its changelog.
const VERSION: &str = "0.20.2";

/// Where `deny.toml` has the database of advisories: a clone for each source, in folders that cargo-deny names.
const ADVISORIES: &str = "target/advisory-db";

/// Checks the tree.
///
/// # Errors
///
/// When the program cannot be installed, or finds what `deny.toml` forbids.
pub(crate) fn run(workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<()> {
    let program = find_or_install(workspace, foreground)?;
    // The tree of all platforms is judged; building has downloaded that of this one.
    foreground.run(workspace.cargo().args(["fetch", "--locked"]))?;
    let deny = |checks: &[&str]| {
        let mut deny = Command::new(&program);
        deny.current_dir(workspace.root())
            // Several versions of a crate are a warning, of which a tree of this size has pages; errors still show.
            .args(["--offline", "--locked", "--log-level", "error", "check", "--hide-inclusion-graph"])
            .args(checks);
        deny
    };
    foreground.run(&mut deny(&["bans", "licenses", "sources"]))?;
    if has_database(&workspace.root().join(ADVISORIES)) {
        foreground.run(&mut deny(&["advisories"]))?;
    } else {
        println!(
            "NOT CHECKED: known vulnerabilities, for {ADVISORIES} holds no copy of the database of advisories. With a network, \
             `{} fetch db` makes one; without, copy that folder from a machine that has it.",
            program.display()
        );
    }
    Ok(())
}

fn find_or_install(workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<PathBuf> {
    let root = workspace.programs("tools").join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin").join("cargo-deny");
    if !program.is_file() {
        println!("cargo-deny {VERSION} is not installed; building it, which takes about three minutes once.");
        let mut install = workspace.cargo();
        install
            .args(["install", "cargo-deny", "--version", VERSION, "--locked", "--root"])
            .arg(&root);
        // A folder of its own, removed afterwards: nothing else can use what is built for it.
        let build = workspace.programs("tools").join("build");
        foreground.run(install.env("CARGO_TARGET_DIR", &build))?;
        std::fs::remove_dir_all(&build)?;
    }
    Ok(program)
}

/// Whether there is a clone in the folder: a failed fetch leaves the folder with a lock file.
fn has_database(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().join("crates").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_where_the_rules_say() {
        let rules = std::fs::read_to_string(Workspace::locate().root().join("deny.toml")).unwrap();
        assert!(rules.contains(&format!("db-path = \"{ADVISORIES}\"")));
    }

    #[test]
    fn a_folder_without_a_clone_is_not_a_database() {
        assert!(!has_database(Path::new("no-such-folder")));
        assert!(!has_database(Workspace::locate().root()));
    }
}
