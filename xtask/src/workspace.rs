//! Where the workspace and its build results are, and how to run cargo from inside a cargo command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout this program was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Finds the workspace from this package's own folder, so that it can be called from anywhere.
    pub(crate) fn locate() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("this package is a folder of the workspace")
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // A relative path counts from the folder cargo was called in, which is still the current one.
            Some(named) => std::path::absolute(&named).unwrap_or_else(|_| named.into()),
            None => root.join("target"),
        };
        Self {
            root,
            target,
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one profile's native programs; the dev profile's is called `debug`.
    pub(crate) fn programs(&self, profile_folder: &str) -> PathBuf {
        self.target.join(profile_folder)
    }

    /// The folder of one profile's results for another target.
    pub(crate) fn cross(&self, target: &str, profile_folder: &str) -> PathBuf {
        self.target.join(target).join(profile_folder)
    }

    /// The same cargo that started this program, in the workspace root.
    ///
    /// Without the variables in which `cargo run` describes *this* package: some build scripts, `ring`'s for one, run again
    /// when these change, and would rebuild half the tree on every switch between `cargo xtask` and plain `cargo`.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        for (name, _) in env::vars_os().filter(|(name, _)| describes_the_running_package(name)) {
            cargo.env_remove(name);
        }
        cargo
    }
}

fn describes_the_running_package(variable: &OsStr) -> bool {
    variable
        .to_str()
        .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_folder_that_holds_the_lock_file() {
        assert!(Workspace::locate().root().join("Cargo.lock").is_file());
    }

    #[test]
    fn an_inner_cargo_is_not_told_about_this_package_but_keeps_the_users_settings() {
        for (variable, removed) in [
            ("CARGO_PKG_NAME", true),
            ("CARGO_MANIFEST_DIR", true),
            ("CARGO_HOME", false),
            ("CARGO_TARGET_DIR", false),
            ("PATH", false),
        ] {
            assert_eq!(describes_the_running_package(OsStr::new(variable)), removed, "{variable}");
        }
    }
}
