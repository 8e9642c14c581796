//! Finds PostgreSQL's server binaries, or installs Debian's package for them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context;

use crate::debian;
use crate::foreground::Foreground;

/// Where Debian keeps them: one folder per major version, none of them on the search path.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";

/// Both are needed: `initdb` alone may have come with a client package.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Installs the package without the cluster it would otherwise create and start: the setting is in its drop-in folder during
/// the installation only. A failed update is not reported here: if it mattered, the installation fails.
const INSTALL: &str = r#"set -e
export DEBIAN_FRONTEND=noninteractive
settings=/etc/postgresql-common/createcluster.d
mkdir -p "$settings"
trap 'rm -f "$settings/hookyard.conf"' EXIT
trap 'exit 130' INT TERM
echo 'create_main_cluster = false' > "$settings/hookyard.conf"
apt-get update || true
apt-get install -y --no-install-recommends postgresql
"#;

/// The folder with the server's programs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Takes the installed binaries, and installs them when there are none.
    ///
    /// # Errors
    ///
    /// When there are none, and this machine or this user cannot install them; the message says what to do.
    pub(super) fn find_or_install(foreground: &Foreground) -> anyhow::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        println!("No PostgreSQL server is installed; installing Debian's package `postgresql`.");
        foreground
            .run(&mut debian::installing(INSTALL, "a PostgreSQL server", "postgresql")?)
            .context("cannot install PostgreSQL; install its server binaries yourself and repeat")?;
        Self::find().with_context(|| format!("the package is installed, but {DEBIAN_ROOT} has no initdb in it"))
    }

    /// The path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn find() -> Option<Self> {
        on_search_path(&env::var_os("PATH").unwrap_or_default()).or_else(|| newest_below(Path::new(DEBIAN_ROOT)))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        // Through links to where the programs really are: `initdb` looks for `postgres` and its data files beside itself.
        let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
        let folder = initdb.parent()?;
        PROGRAMS
            .iter()
            .all(|program| folder.join(program).is_file())
            .then(|| Self { folder: folder.to_owned() })
    }
}

fn on_search_path(path: &OsStr) -> Option<Binaries> {
    env::split_paths(path).find_map(|folder| Binaries::in_folder(&folder))
}

/// The binaries of the highest major version below `root`.
fn newest_below(root: &Path) -> Option<Binaries> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.iter().find_map(|(_, folder)| Binaries::in_folder(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of empty files that is removed with the test.
    struct Tree(PathBuf);

    impl Tree {
        fn with(test: &str, files: &[&str]) -> Self {
            let root = env::temp_dir().join(format!("hookyard-xtask-{test}-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Self(fs::canonicalize(root).unwrap())
        }

        fn found(&self, folder: &str) -> Option<Binaries> {
            Some(Binaries {
                folder: self.0.join(folder),
            })
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_newest_complete_version_is_taken_by_number_not_by_spelling() {
        let tree = Tree::with(
            "newest",
            &[
                "9/bin/initdb",
                "9/bin/postgres",
                "15/bin/initdb",
                "15/bin/postgres",
                "17/bin/initdb",
                "jit/bin/initdb",
                "jit/bin/postgres",
            ],
        );
        assert_eq!(newest_below(&tree.0), tree.found("15/bin"));
        assert_eq!(newest_below(&tree.0.join("absent")), None);
    }

    #[test]
    fn a_link_on_the_search_path_leads_to_the_folder_with_all_programs() {
        let tree = Tree::with("link", &["lib/bin/initdb", "lib/bin/postgres", "client/psql", "local/other"]);
        std::os::unix::fs::symlink(tree.0.join("lib/bin/initdb"), tree.0.join("local/initdb")).unwrap();
        let path = env::join_paths([tree.0.join("client"), tree.0.join("local")]).unwrap();
        assert_eq!(on_search_path(&path), tree.found("lib/bin"));
    }

    #[test]
    fn initdb_without_a_server_beside_it_is_no_server() {
        let tree = Tree::with("lone", &["bin/initdb"]);
        assert_eq!(on_search_path(tree.0.join("bin").as_os_str()), None);
    }
}
