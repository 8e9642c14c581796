//! Runs a test again in namespaces of its own, where it may mount and configure a network without any privilege.

use std::process::Command;

/// Says to the test that it was run again.
const IN_NAMESPACE: &str = "HOOKYARD_TEST_IN_NAMESPACE";

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// With everything else on this machine.
    Shared,
    /// By [`run_again`].
    Own,
}

impl Namespace {
    pub fn here() -> Self {
        if std::env::var_os(IN_NAMESPACE).is_none() {
            Self::Shared
        } else {
            Self::Own
        }
    }
}

/// Runs a test of the calling suite again as the root of a user namespace and of those that `unshare` is asked for, after
/// a shell command that prepares them.
///
/// # Panics
/// When it fails there, or cannot be run.
pub fn run_again(test: &str, unshare: &[&str], prepare: &str) {
    let output = Command::new("unshare")
        .arg("--map-root-user")
        .args(unshare)
        .args(["sh", "-c", &format!("{prepare} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().expect("this process has an executable"))
        .args(["--exact", test, "--nocapture"])
        .env(IN_NAMESPACE, "1")
        .output()
        .expect("the system has an unshare command");
    assert!(
        output.status.success(),
        "in a namespace of its own the test failed (where user namespaces are forbidden, run it as root):\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
