//! What is read of a GitHub event.
//!
//! GitHub's events share one envelope (action, repository, sender) and each adds an object named after itself, so one
//! struct of optional parts reads them all. Strings borrow from the body; the other nine tenths of a payload are skipped.
//!
//! Source: GitHub's page "Webhook events and payloads", and the payloads under `tests/fixtures/github`.

use hookyard_guest::prelude::*;

#[derive(Debug, Deserialize)]
pub(crate) struct Payload<'a> {
    #[serde(borrow)]
    pub(crate) action: Option<Text<'a>>,
    pub(crate) repository: Option<Repository<'a>>,
    pub(crate) sender: Option<Account<'a>>,

    /// `refs/heads/main` in a push, the bare name in `create` and `delete`.
    #[serde(rename = "ref")]
    pub(crate) git_ref: Option<Text<'a>>,
    /// `branch` or `tag`; in `create` and `delete` only.
    pub(crate) ref_type: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) created: bool,
    #[serde(default)]
    pub(crate) deleted: bool,
    #[serde(default)]
    pub(crate) forced: bool,
    pub(crate) compare: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) commits: Vec<Commit<'a>>,

    pub(crate) pull_request: Option<PullRequest<'a>>,
    pub(crate) issue: Option<Issue<'a>>,
    pub(crate) comment: Option<Comment<'a>>,
    pub(crate) release: Option<Release<'a>>,
    pub(crate) workflow_run: Option<WorkflowRun<'a>>,
    pub(crate) forkee: Option<Repository<'a>>,
    pub(crate) zen: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository<'a> {
    #[serde(borrow)]
    pub(crate) full_name: Text<'a>,
    pub(crate) html_url: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Account<'a> {
    #[serde(borrow)]
    pub(crate) login: Text<'a>,
    #[serde(rename = "type")]
    pub(crate) account_type: Option<Text<'a>>,
}

impl Account<'_> {
    pub(crate) fn is_bot(&self) -> bool {
        self.account_type.as_deref() == Some("Bot")
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Commit<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    pub(crate) message: Text<'a>,
    pub(crate) url: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PullRequest<'a> {
    pub(crate) number: u64,
    #[serde(borrow)]
    pub(crate) title: Text<'a>,
    pub(crate) html_url: Text<'a>,
    /// Absent in the short form that reviews and comments carry.
    pub(crate) merged: Option<bool>,
    pub(crate) head: Option<Side<'a>>,
    pub(crate) base: Option<Side<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Side<'a> {
    #[serde(rename = "ref", borrow)]
    pub(crate) branch: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue<'a> {
    pub(crate) number: u64,
    #[serde(borrow)]
    pub(crate) title: Text<'a>,
    pub(crate) html_url: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comment<'a> {
    #[serde(borrow)]
    pub(crate) html_url: Option<Text<'a>>,
    pub(crate) body: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Release<'a> {
    #[serde(borrow)]
    pub(crate) tag_name: Text<'a>,
    pub(crate) name: Option<Text<'a>>,
    pub(crate) html_url: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WorkflowRun<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    pub(crate) display_title: Option<Text<'a>>,
    pub(crate) html_url: Text<'a>,
    pub(crate) run_number: u64,
    /// Absent until the run has completed.
    pub(crate) conclusion: Option<Text<'a>>,
    /// Absent for a run that no branch started.
    pub(crate) head_branch: Option<Text<'a>>,
}
