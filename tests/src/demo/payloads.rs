//! The GitHub payloads that are posted, the endpoints they are posted for, and what should become of each.
//!
//! This repeats the plugin's rules, written down by hand, so that what the server does can be compared with them. The
//! payloads are those of `tests/fixtures/github`, byte for byte.

/// An endpoint of the demonstration.
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    /// What it asks the plugin for.
    pub(super) metadata: &'static [(&'static str, &'static str)],
}

pub(super) const CHAT: &str = "chat";
pub(super) const MAINLINE: &str = "mainline";
pub(super) const REVIEWS: &str = "reviews";
pub(super) const RELEASES: &str = "releases";
pub(super) const ARCHIVE: &str = "archive";
/// Has a token of its own (`dst_…`) and belongs to no sender.
pub(super) const LEDGER: &str = "ledger";

/// Those the plugin chooses from, in the order of the set-up file.
pub(super) const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        name: CHAT,
        metadata: &[("repo", "Codertocat/*")],
    },
    Endpoint {
        name: MAINLINE,
        metadata: &[("branch", "main,master"), ("event", "push,pull_request,workflow_run")],
    },
    Endpoint {
        name: REVIEWS,
        metadata: &[("event", "pull_request.opened,issue_comment")],
    },
    Endpoint {
        name: RELEASES,
        metadata: &[("event", "release,create,delete")],
    },
    Endpoint {
        name: ARCHIVE,
        metadata: &[("repo", "Codertocat/Hello-World"), ("payload", "original")],
    },
];

/// What should become of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Delivered to these and to no others.
    To(&'static [&'static str]),
    /// Dropped with this code.
    Dropped(&'static str),
}

/// A payload as GitHub sends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload {
    /// Name of the file: the event and its action.
    pub(super) name: &'static str,
    pub(super) body: &'static str,
    pub(super) fate: Fate,
}

impl Payload {
    /// The value of `X-GitHub-Event`.
    pub(super) fn event(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// The repository it is about.
    pub(super) fn repository(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(self.body).unwrap_or_default();
        body["repository"]["full_name"].as_str().unwrap_or("no repository").to_owned()
    }
}

macro_rules! payload {
    ($name:literal, $fate:expr) => {
        Payload {
            name: $name,
            body: include_str!(concat!("../../fixtures/github/", $name, ".json")),
            fate: $fate,
        }
    };
}

pub(super) const PUSH: Payload = payload!("push.branch", Fate::To(&[CHAT, MAINLINE, ARCHIVE]));
pub(super) const STAR: Payload = payload!("star.created", Fate::To(&[CHAT, ARCHIVE]));
pub(super) const ISSUE: Payload = payload!("issues.opened", Fate::To(&[CHAT, ARCHIVE]));

/// One of each kind, in the order a repository might see them.
pub(super) const PAYLOADS: [Payload; 15] = [
    payload!("ping.webhook", Fate::Dropped("ping")),
    PUSH,
    payload!("pull_request.opened", Fate::To(&[CHAT, MAINLINE, REVIEWS, ARCHIVE])),
    payload!("issue_comment.created", Fate::To(&[CHAT, REVIEWS, ARCHIVE])),
    payload!("check_run.completed", Fate::To(&[CHAT, ARCHIVE])),
    payload!("pull_request.closed", Fate::To(&[CHAT, MAINLINE, ARCHIVE])),
    payload!("workflow_run.completed", Fate::To(&[MAINLINE])),
    payload!("deployment_status.created", Fate::To(&[CHAT, ARCHIVE])),
    payload!("create.tag", Fate::To(&[CHAT, RELEASES, ARCHIVE])),
    payload!("release.published", Fate::To(&[CHAT, RELEASES, ARCHIVE])),
    payload!("push.tag-deleted", Fate::Dropped("tag-deleted")),
    payload!("delete.tag", Fate::To(&[CHAT, RELEASES, ARCHIVE])),
    ISSUE,
    STAR,
    payload!("fork.repository", Fate::To(&[CHAT, ARCHIVE])),
];

/// JSON that parsing and writing again would change: its spaces, a number beyond 64 bits, a name that appears twice, an
/// escape where none is needed.
pub(super) const ODD_BYTES: &str =
    "  {\"total\": 1.0,\t\"ledger\":18446744073709551617 , \"a\":1,\"a\":2,\"text\":\"caf\\u00e9 é \\ud83d\\ude00\", \"e\":1e400}\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_ten_kinds_of_event_are_shown_with_fan_out_and_drops() {
        let kinds: std::collections::BTreeSet<_> = PAYLOADS.iter().map(Payload::event).collect();
        assert!(kinds.len() >= 10, "{kinds:?}");
        assert!(
            PAYLOADS
                .iter()
                .any(|payload| matches!(payload.fate, Fate::To(names) if names.len() >= 4))
        );
        assert!(PAYLOADS.iter().any(|payload| matches!(payload.fate, Fate::Dropped(_))));
    }
}
