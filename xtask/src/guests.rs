//! Builds plugins, and the guests of the suites, as WebAssembly components.
//!
//! A guest is a folder in `plugins/` or `tests/guests/` with the name of its package. Each is built in a cargo call
//! of its own: in one common call cargo would give every guest the SDK features that any of them asks for.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::foreground::Foreground;
use crate::workspace::Workspace;

/// What a Rust plugin compiles to.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The workspace's profile for guests, and the name of its folder.
const PROFILE: &str = "plugin";

/// The plugin that demo and benchmark show.
pub(crate) const SHOWN: &str = "github-to-slack";

const FOLDERS: [&str; 2] = ["plugins", "tests/guests"];

/// Builds every guest and returns the paths of their components.
///
/// # Errors
///
/// When the target cannot be added or a guest does not build.
pub(crate) fn build(workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<Vec<PathBuf>> {
    ensure_target(foreground)?;
    let mut components = Vec::new();
    for package in packages(workspace)? {
        foreground.run(
            without_native_flags(workspace.cargo())
                .args(["build", "--locked", "--profile", PROFILE])
                .args(of(&package)),
        )?;
        components.push(component(workspace, &package));
    }
    Ok(components)
}

/// Lints every guest as what it is built for; native builds leave out most of the SDK's glue.
///
/// # Errors
///
/// When the target cannot be added or there is a warning.
pub(crate) fn clippy(workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<()> {
    ensure_target(foreground)?;
    for package in packages(workspace)? {
        let mut clippy = without_native_flags(workspace.cargo());
        foreground.run(
            clippy
                .args(["clippy", "--locked"])
                .args(of(&package))
                .args(["--", "-D", "warnings"]),
        )?;
    }
    Ok(())
}

/// Where the component of a guest package is, once built.
pub(crate) fn component(workspace: &Workspace, package: &str) -> PathBuf {
    workspace.cross(TARGET, PROFILE).join(component_file(package))
}

/// Adds the target to the toolchain, unless it is there.
fn ensure_target(foreground: &Foreground) -> anyhow::Result<()> {
    if target_is_installed()? {
        return Ok(());
    }
    println!("Adding the target {TARGET}.");
    foreground
        .run(Command::new("rustup").args(["target", "add", TARGET]))
        .with_context(|| {
            format!("cannot add the target {TARGET}; without rustup, install its standard library the way you installed the toolchain")
        })
}

/// Asks the compiler rather than rustup: its answer is also right where the toolchain was not installed by rustup.
fn target_is_installed() -> anyhow::Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot ask rustc for its libraries")?;
    if !output.status.success() {
        bail!("this rustc does not know the target {TARGET}");
    }
    let libraries = String::from_utf8(output.stdout).context("rustc's answer is not text")?;
    Ok(Path::new(libraries.trim_end()).is_dir())
}

/// The names of the guest packages, in a stable order.
fn packages(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut packages = Vec::new();
    for folder in FOLDERS {
        packages.extend(packages_in(&workspace.root().join(folder))?);
    }
    if packages.is_empty() {
        bail!("there is no package in {}", FOLDERS.join(" or "));
    }
    Ok(packages)
}

fn packages_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.join("Cargo.toml").is_file() {
            let name = path.file_name().and_then(|name| name.to_str());
            names.push(
                name.with_context(|| format!("the name of {} is not text", path.display()))?
                    .to_owned(),
            );
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn of(package: &str) -> [&str; 4] {
    ["--target", TARGET, "--package", package]
}

/// Flags a user sets for native code, such as `target-cpu`, have no effect on a guest or break its build.
fn without_native_flags(mut cargo: Command) -> Command {
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

/// Cargo's file name for a library of this package.
fn component_file(package: &str) -> String {
    format!("{}.wasm", package.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_of_the_tree_is_found_and_the_shown_one_is_among_them() {
        let packages = packages(&Workspace::locate()).unwrap();
        assert!(packages.iter().any(|package| package == SHOWN), "{packages:?}");
        assert!(packages.iter().any(|package| package == "misbehaving"), "{packages:?}");
    }

    #[test]
    fn a_component_bears_its_packages_name_as_a_library_does() {
        assert_eq!(component_file("github-to-slack"), "github_to_slack.wasm");
    }
}
