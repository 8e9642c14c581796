//! The plugin's next version: its source, edited as a person would edit it, and built again by cargo.
//!
//! The edit is made on a copy in the target folder, which becomes a workspace of its own with this one's versions, lock
//! and profile. It is built in the same target folder as the plugin, so that what both share is not compiled again, and under
//! another file name, so that one does not replace the other. The copy is always at the same place: cargo tells packages
//! apart by theirs and would otherwise compile the SDK again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use toml::{Table, Value};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "plugin";
const PACKAGE: &str = "github-to-slack";
/// What the edited library is called, for its file.
const LIBRARY: &str = "github_to_slack_edited";

/// A change of one place in one file.
pub(super) struct Edit {
    pub(super) file: &'static str,
    /// Appears in the file exactly once.
    from: &'static str,
    to: &'static str,
    /// In words, for the reader.
    pub(super) told: &'static str,
}

/// The code of the drop the edited plugin adds.
pub(super) const STAR_DROP: &str = "star";
/// What the edited plugin's messages begin with.
pub(super) const MARK: &str = ":package: [";

pub(super) const EDITS: [Edit; 2] = [
    Edit {
        file: "src/message.rs",
        from: "writer.say(\"[\");",
        to: "writer.say(\":package: [\");",
        told: "messages about a repository begin with :package:",
    },
    Edit {
        file: "src/lib.rs",
        from: "    if let Some(sender) = payload.sender.as_ref()",
        to: "    if subject.kind == \"star\" {\n        return Some(Decision::drop(\"star\", \"stars are nice, and noise\"));\n    }\n    if let Some(sender) = payload.sender.as_ref()",
        told: "stars are dropped",
    },
];

/// A component built from edited source.
pub(super) struct Edited {
    pub(super) component: PathBuf,
    pub(super) took: Duration,
}

/// Copies the plugin's source, edits the copy and builds it.
///
/// # Errors
/// The source is not where it should be, it is not what the edits expect, or cargo does not build it.
pub(super) async fn build() -> anyhow::Result<Edited> {
    let began = Instant::now();
    let folder = target_dir().join("demo");
    copy(&folder)?;
    let output = tokio::process::Command::new(env!("CARGO"))
        // Here, so that the toolchain is the workspace's.
        .current_dir(workspace())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["build", "--quiet", "--offline", "--profile", PROFILE, "--target", TARGET])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the edited plugin does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Edited {
        component: target_dir().join(TARGET).join(PROFILE).join(format!("{LIBRARY}.wasm")),
        took: began.elapsed(),
    })
}

fn copy(folder: &Path) -> anyhow::Result<()> {
    let from = workspace().join("plugins").join(PACKAGE);
    let to = folder.join(PACKAGE);
    fs::create_dir_all(to.join("src"))?;
    for name in ["Cargo.toml", "config.schema.json"] {
        fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy the plugin's {name}"))?;
    }
    for entry in fs::read_dir(from.join("src")).context("cannot read the plugin's source")? {
        let entry = entry?;
        fs::copy(entry.path(), to.join("src").join(entry.file_name()))?;
    }
    for edit in &EDITS {
        let path = to.join(edit.file);
        fs::write(&path, edited(&fs::read_to_string(&path)?, edit)?)?;
    }
    let manifest = to.join("Cargo.toml");
    fs::write(&manifest, renamed(&fs::read_to_string(&manifest)?)?)?;
    let root = fs::read_to_string(workspace().join("Cargo.toml"))?;
    fs::write(folder.join("Cargo.toml"), workspace_of_one(&root, workspace())?)?;
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}

fn edited(source: &str, edit: &Edit) -> anyhow::Result<String> {
    match source.matches(edit.from).count() {
        1 => Ok(source.replacen(edit.from, edit.to, 1)),
        found => bail!("{} has {found} places that read {:?}, the edit expects one", edit.file, edit.from),
    }
}

/// The plugin's manifest with another name for its library.
fn renamed(manifest: &str) -> anyhow::Result<String> {
    let mut manifest: Table = manifest.parse()?;
    let library = manifest.entry("lib").or_insert_with(|| Table::new().into());
    let library = library.as_table_mut().context("[lib] is a table")?;
    library.insert("name".to_owned(), LIBRARY.into());
    Ok(toml::to_string(&manifest)?)
}

/// The root manifest with the copy as its only member, and our own crates where they are.
fn workspace_of_one(manifest: &str, root: &Path) -> anyhow::Result<String> {
    let mut manifest: Table = manifest.parse()?;
    let workspace = manifest
        .get_mut("workspace")
        .and_then(Value::as_table_mut)
        .context("no [workspace]")?;
    workspace.remove("default-members");
    workspace.insert("members".to_owned(), vec![PACKAGE].into());
    let dependencies = workspace.get_mut("dependencies").and_then(Value::as_table_mut);
    for dependency in dependencies.context("no [workspace.dependencies]")?.iter_mut() {
        if let Some(Value::String(path)) = dependency.1.get_mut("path") {
            *path = root.join(&*path).to_string_lossy().into_owned();
        }
    }
    Ok(toml::to_string(&manifest)?)
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the workspace")
}

/// Where cargo puts what it builds; a relative path in the environment is relative to the folder cargo runs in.
fn target_dir() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_finds_its_place_in_the_plugin_as_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(folder.path()).expect("the plugin can be copied and edited");
        for edit in &EDITS {
            let text = fs::read_to_string(folder.path().join(PACKAGE).join(edit.file)).expect("the file was copied");
            assert!(text.contains(edit.to), "{}", edit.file);
        }
        assert!(EDITS[0].to.contains(MARK) && EDITS[1].to.contains(&format!("drop(\"{STAR_DROP}\"")));
    }

    #[test]
    fn an_edit_that_finds_no_place_or_two_is_an_error() {
        assert!(edited("", &EDITS[0]).is_err());
        assert!(edited(&EDITS[0].from.repeat(2), &EDITS[0]).is_err());
    }
}
