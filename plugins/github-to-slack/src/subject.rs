//! What an event is about: the four facts that endpoints choose by.

use std::fmt;

use crate::payload::Payload;

/// The kind of an event with its action, the repository and the branch or tag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// `push`, `pull_request`, …: the value of `X-GitHub-Event`.
    pub(crate) kind: &'a str,
    pub(crate) action: Option<&'a str>,
    /// `owner/name`; events of a whole organisation have none.
    pub(crate) repo: Option<&'a str>,
    /// For a pull request the branch it wants to change, for a workflow run the one it ran on.
    pub(crate) git_ref: Option<Ref<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ref<'a> {
    Branch(&'a str),
    Tag(&'a str),
}

impl<'a> Subject<'a> {
    pub(crate) fn of(kind: &'a str, payload: &'a Payload<'a>) -> Self {
        Self {
            kind,
            action: payload.action.as_deref(),
            repo: payload.repository.as_ref().map(|repository| &*repository.full_name),
            git_ref: git_ref(kind, payload),
        }
    }
}

fn git_ref<'a>(kind: &str, payload: &'a Payload<'a>) -> Option<Ref<'a>> {
    match kind {
        "push" => {
            let full = payload.git_ref.as_deref()?;
            let branch = full.strip_prefix("refs/heads/").map(Ref::Branch);
            branch.or_else(|| full.strip_prefix("refs/tags/").map(Ref::Tag))
        }
        "create" | "delete" => {
            let name = payload.git_ref.as_deref()?;
            match payload.ref_type.as_deref()? {
                "branch" => Some(Ref::Branch(name)),
                "tag" => Some(Ref::Tag(name)),
                _ => None,
            }
        }
        "workflow_run" => payload.workflow_run.as_ref()?.head_branch.as_deref().map(Ref::Branch),
        _ => payload.pull_request.as_ref()?.base.as_ref().map(|base| Ref::Branch(&base.branch)),
    }
}

impl fmt::Display for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
        }
    }
}

/// `pull_request.opened in acme/site on branch main`.
impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(action) = self.action {
            write!(f, ".{action}")?;
        }
        if let Some(repo) = self.repo {
            write!(f, " in {repo}")?;
        }
        match self.git_ref {
            Some(git_ref) => write!(f, " on {git_ref}"),
            None => Ok(()),
        }
    }
}
