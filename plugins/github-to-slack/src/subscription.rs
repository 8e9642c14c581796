//! What an endpoint wants, read from its metadata, and why it does not want an event.
//!
//! Patterns are exact, or a prefix and `*`. Repository names ignore case, as GitHub does; branches do not.

use hookyard_guest::prelude::*;

use crate::subject::{Ref, Subject};

pub(crate) struct Subscription<'a> {
    repo: Option<&'a str>,
    branch: Option<&'a str>,
    event: Option<&'a str>,
    pub(crate) wants_original: bool,
}

impl<'a> Subscription<'a> {
    pub(crate) fn of(endpoint: &'a Endpoint) -> Self {
        Self {
            repo: endpoint.metadata("repo"),
            branch: endpoint.metadata("branch"),
            event: endpoint.metadata("event"),
            wants_original: endpoint.metadata("payload") == Some("original"),
        }
    }

    /// The first reason against the event in words for the endpoint's owner, or `None` when it is wanted.
    pub(crate) fn objection(&self, subject: &Subject<'_>) -> Option<String> {
        self.event_objection(subject)
            .or_else(|| self.repo_objection(subject))
            .or_else(|| self.branch_objection(subject))
    }

    fn event_objection(&self, subject: &Subject<'_>) -> Option<String> {
        let wanted = self.event?;
        let with_action = |pattern: &str| {
            subject
                .action
                .is_some_and(|action| pattern.split_once('.') == Some((subject.kind, action)))
        };
        if patterns(wanted).any(|pattern| pattern == "*" || pattern == subject.kind || with_action(pattern)) {
            return None;
        }
        Some(match subject.action {
            Some(action) => format!("wants event {wanted}, this is {}.{action}", subject.kind),
            None => format!("wants event {wanted}, this is {}", subject.kind),
        })
    }

    fn repo_objection(&self, subject: &Subject<'_>) -> Option<String> {
        let wanted = self.repo?;
        let Some(repo) = subject.repo else {
            let any = patterns(wanted).any(|pattern| pattern == "*");
            return (!any).then(|| format!("wants repo {wanted}, this event belongs to no repository"));
        };
        let matched = patterns(wanted).any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => repo.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
            None => repo.eq_ignore_ascii_case(pattern),
        });
        (!matched).then(|| format!("wants repo {wanted}, this is {repo}"))
    }

    fn branch_objection(&self, subject: &Subject<'_>) -> Option<String> {
        let wanted = self.branch?;
        match subject.git_ref? {
            Ref::Branch(branch) => {
                let matched = patterns(wanted).any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => branch.starts_with(prefix),
                    None => branch == pattern,
                });
                (!matched).then(|| format!("wants branch {wanted}, this is {branch}"))
            }
            tag @ Ref::Tag(_) => Some(format!("wants branch {wanted}, this is {tag}")),
        }
    }
}

fn patterns(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN_PUSH: Subject<'_> = Subject {
        kind: "push",
        action: None,
        repo: Some("acme/site"),
        git_ref: Some(Ref::Branch("main")),
    };
    const OPENED_PULL: Subject<'_> = Subject {
        kind: "pull_request",
        action: Some("opened"),
        repo: Some("acme/site"),
        git_ref: Some(Ref::Branch("release/2")),
    };
    const TAG_PUSH: Subject<'_> = Subject {
        kind: "push",
        action: None,
        repo: Some("acme/site"),
        git_ref: Some(Ref::Tag("v1")),
    };
    const ORGANISATION: Subject<'_> = Subject {
        kind: "organization",
        action: Some("renamed"),
        repo: None,
        git_ref: None,
    };

    #[track_caller]
    fn assert_objection(metadata: &[(&str, &str)], subject: Subject<'_>, expected: Option<&str>) {
        let endpoint = metadata
            .iter()
            .fold(Endpoint::named("e"), |endpoint, &(key, value)| endpoint.with_metadata(key, value));
        assert_eq!(Subscription::of(&endpoint).objection(&subject).as_deref(), expected);
    }

    #[test]
    fn an_endpoint_that_says_nothing_wants_everything() {
        for subject in [MAIN_PUSH, OPENED_PULL, TAG_PUSH, ORGANISATION] {
            assert_objection(&[], subject, None);
        }
    }

    #[test]
    fn events_match_by_kind_or_by_kind_and_action() {
        assert_objection(&[("event", "push")], MAIN_PUSH, None);
        assert_objection(&[("event", "release, push")], MAIN_PUSH, None);
        assert_objection(&[("event", "*")], MAIN_PUSH, None);
        assert_objection(&[("event", "pull_request")], OPENED_PULL, None);
        assert_objection(&[("event", "pull_request.opened")], OPENED_PULL, None);
        let closed = "wants event pull_request.closed, this is pull_request.opened";
        assert_objection(&[("event", "pull_request.closed")], OPENED_PULL, Some(closed));
        assert_objection(&[("event", "issues")], MAIN_PUSH, Some("wants event issues, this is push"));
    }

    #[test]
    fn repositories_match_exactly_by_owner_or_all_and_ignore_case() {
        for wanted in ["acme/site", "Acme/Site", "acme/*", "*", "other/one,acme/site"] {
            assert_objection(&[("repo", wanted)], MAIN_PUSH, None);
        }
        assert_objection(&[("repo", "acme/sit")], MAIN_PUSH, Some("wants repo acme/sit, this is acme/site"));
        assert_objection(&[("repo", "acm/*")], MAIN_PUSH, Some("wants repo acm/*, this is acme/site"));
        assert_objection(
            &[("repo", "acme/site-and-more*")],
            MAIN_PUSH,
            Some("wants repo acme/site-and-more*, this is acme/site"),
        );
    }

    #[test]
    fn an_event_without_repository_is_only_for_those_who_want_all() {
        assert_objection(&[("repo", "*")], ORGANISATION, None);
        let none = "wants repo acme/*, this event belongs to no repository";
        assert_objection(&[("repo", "acme/*")], ORGANISATION, Some(none));
    }

    #[test]
    fn branches_match_exactly_or_by_prefix_and_tags_match_none() {
        assert_objection(&[("branch", "main")], MAIN_PUSH, None);
        assert_objection(&[("branch", "release/*")], OPENED_PULL, None);
        assert_objection(&[("branch", "release/*")], MAIN_PUSH, Some("wants branch release/*, this is main"));
        assert_objection(&[("branch", "Main")], MAIN_PUSH, Some("wants branch Main, this is main"));
        assert_objection(&[("branch", "*")], TAG_PUSH, Some("wants branch *, this is tag v1"));
    }

    #[test]
    fn an_event_that_has_no_branch_is_not_restricted_by_one() {
        assert_objection(&[("branch", "main")], ORGANISATION, None);
    }
}
