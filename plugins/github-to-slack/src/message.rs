//! What is said: one short sentence per event, and for a push its commits.
//!
//! Every sentence opens with the repository and the person, so that a channel of many repositories can be skimmed.

use std::borrow::Cow;

use hookyard_guest::prelude::*;

use crate::payload::{Commit, Payload, PullRequest, Repository, WorkflowRun};
use crate::slack::Writer;
use crate::subject::{Ref, Subject};

/// Characters of a title or a quoted comment; about two lines in Slack's window.
const TITLE_CHARS_MAX: usize = 150;

/// Characters of a name: a branch, a person, a repository, a tag. GitHub's longest full name of a repository, an owner of
/// 39 and a name of 100 characters, fits; branches may be longer.
const NAME_CHARS_MAX: usize = 140;

/// Commits listed of one push; the link to the comparison shows the rest.
const COMMITS_MAX: usize = 5;

/// Characters of a commit's hash, as GitHub abbreviates it.
const HASH_CHARS: usize = 7;

/// Writes the message for an event.
///
/// # Errors
///
/// `bad-event` when the event lacks the object that its kind promises.
pub(crate) fn text(subject: &Subject<'_>, payload: &Payload<'_>) -> Result<String, Failure> {
    let mut writer = Writer::new();
    opening(&mut writer, payload);
    match subject.kind {
        "push" => push(&mut writer, subject, payload),
        "pull_request" => pull_request(&mut writer, subject, promised(&payload.pull_request, subject)?),
        "issues" => {
            let issue = promised(&payload.issue, subject)?;
            writer.say(" ").foreign(&action_words(subject), NAME_CHARS_MAX).say(" issue ");
            numbered_link(&mut writer, &issue.html_url, issue.number, &issue.title);
        }
        "issue_comment" => issue_comment(&mut writer, subject, payload)?,
        "release" => {
            let release = promised(&payload.release, subject)?;
            let name = release.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&release.tag_name);
            writer.say(" ").foreign(&action_words(subject), NAME_CHARS_MAX).say(" release ");
            writer.link(Some(&release.html_url), |writer| {
                writer.foreign(name, TITLE_CHARS_MAX);
            });
        }
        "workflow_run" => workflow_run(&mut writer, subject, promised(&payload.workflow_run, subject)?),
        "create" | "delete" => {
            writer.say(if subject.kind == "create" { " created " } else { " deleted " });
            named_ref(&mut writer, subject);
        }
        "star" => {
            writer.say(if subject.action == Some("deleted") {
                " took a star back"
            } else {
                " gave a star"
            });
        }
        "fork" => {
            writer.say(" forked it to ");
            repository_link(&mut writer, promised(&payload.forkee, subject)?);
        }
        "ping" => {
            writer
                .say(" set up a webhook: ")
                .foreign(payload.zen.as_deref().unwrap_or("hello"), TITLE_CHARS_MAX);
        }
        other => {
            writer.say(": ").foreign(&other.replace('_', " "), NAME_CHARS_MAX);
            if subject.action.is_some() {
                writer.say(" ").foreign(&action_words(subject), NAME_CHARS_MAX);
            }
        }
    }
    Ok(writer.finish())
}

/// `[acme/site] octocat`
fn opening(writer: &mut Writer, payload: &Payload<'_>) {
    if let Some(repository) = &payload.repository {
        writer.say("[");
        repository_link(writer, repository);
        writer.say("] ");
    }
    let person = payload.sender.as_ref().map_or("somebody", |sender| &sender.login);
    writer.foreign(person, NAME_CHARS_MAX);
}

/// ` pushed 2 commits to main`, and the commits
fn push(writer: &mut Writer, subject: &Subject<'_>, payload: &Payload<'_>) {
    let count = payload.commits.len();
    match (payload.created, count) {
        (true, 0) => writer.say(" created "),
        (_, count) => {
            writer
                .say(if payload.forced { " force-pushed " } else { " pushed " })
                .number(count as u64);
            writer.say(if count == 1 { " commit to " } else { " commits to " })
        }
    };
    writer.link(payload.compare.as_deref(), |writer| {
        named_ref(writer, subject);
    });
    // GitHub lists commits oldest first, and names at most 2,048 of them.
    for (listed, commit) in payload.commits.iter().enumerate() {
        let fits = listed < COMMITS_MAX && writer.line_if_it_fits(|writer| commit_line(writer, commit));
        if !fits {
            writer.line_if_it_fits(|writer| {
                writer.say("… and ").number((count - listed) as u64).say(" more");
            });
            break;
        }
    }
}

fn commit_line(writer: &mut Writer, commit: &Commit<'_>) {
    let short = commit.id.get(..HASH_CHARS).unwrap_or(&commit.id);
    writer.say("• ").link(commit.url.as_deref(), |writer| {
        writer.foreign(short, HASH_CHARS);
    });
    writer.say(" ").foreign(&commit.message, TITLE_CHARS_MAX);
}

/// ` merged pull request #2 Update the README (changes → main)`
fn pull_request(writer: &mut Writer, subject: &Subject<'_>, pull: &PullRequest<'_>) {
    let merged = subject.action == Some("closed") && pull.merged == Some(true);
    let did = if merged { Cow::Borrowed("merged") } else { action_words(subject) };
    writer.say(" ").foreign(&did, NAME_CHARS_MAX).say(" pull request ");
    numbered_link(writer, &pull.html_url, pull.number, &pull.title);
    if let (Some(head), Some(base)) = (&pull.head, &pull.base) {
        writer.say(" (").foreign(&head.branch, NAME_CHARS_MAX);
        writer.say(" → ").foreign(&base.branch, NAME_CHARS_MAX).say(")");
    }
}

/// ` commented on #1 Spelling error`, and the comment's first line
fn issue_comment(writer: &mut Writer, subject: &Subject<'_>, payload: &Payload<'_>) -> Result<(), Failure> {
    let issue = promised(&payload.issue, subject)?;
    let comment = promised(&payload.comment, subject)?;
    writer.say(match subject.action {
        Some("edited") => " edited a comment on ",
        Some("deleted") => " deleted a comment on ",
        _ => " commented on ",
    });
    numbered_link(
        writer,
        comment.html_url.as_deref().unwrap_or(&issue.html_url),
        issue.number,
        &issue.title,
    );
    if let Some(body) = comment.body.as_deref().filter(|_| subject.action != Some("deleted")) {
        writer.line_if_it_fits(|writer| {
            writer.say("> ").foreign(body, TITLE_CHARS_MAX);
        });
    }
    Ok(())
}

/// `: workflow test #163 on master: success`
fn workflow_run(writer: &mut Writer, subject: &Subject<'_>, run: &WorkflowRun<'_>) {
    let names = [run.name.as_deref(), run.display_title.as_deref()];
    let name = names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or("run");
    writer.say(": workflow ").link(Some(&run.html_url), |writer| {
        writer.foreign(name, TITLE_CHARS_MAX).say(" #").number(run.run_number);
    });
    if let Some(Ref::Branch(branch)) = subject.git_ref {
        writer.say(" on ").foreign(branch, NAME_CHARS_MAX);
    }
    let outcome = run.conclusion.as_deref().or(subject.action).unwrap_or("running");
    writer.say(": ").foreign(&outcome.replace('_', " "), NAME_CHARS_MAX);
}

fn repository_link(writer: &mut Writer, repository: &Repository<'_>) {
    writer.link(repository.html_url.as_deref(), |writer| {
        writer.foreign(&repository.full_name, NAME_CHARS_MAX);
    });
}

fn numbered_link(writer: &mut Writer, url: &str, number: u64, title: &str) {
    writer.link(Some(url), |writer| {
        writer.say("#").number(number).say(" ").foreign(title, TITLE_CHARS_MAX);
    });
}

fn named_ref(writer: &mut Writer, subject: &Subject<'_>) {
    match subject.git_ref {
        Some(Ref::Branch(name)) => writer.foreign(name, NAME_CHARS_MAX),
        Some(Ref::Tag(name)) => writer.say("tag ").foreign(name, NAME_CHARS_MAX),
        None => writer.say("a ref"),
    };
}

/// What was done to the object, as it fits into the sentence "somebody … issue #1". Most actions keep GitHub's own word.
fn action_words<'a>(subject: &Subject<'a>) -> Cow<'a, str> {
    let Some(action) = subject.action else {
        return Cow::Borrowed("changed");
    };
    match (subject.kind, action) {
        ("pull_request", "synchronize") => Cow::Borrowed("updated"),
        ("pull_request", "ready_for_review") => Cow::Borrowed("called for reviews of"),
        ("pull_request", "review_requested") => Cow::Borrowed("requested a review of"),
        ("pull_request", "review_request_removed") => Cow::Borrowed("withdrew a review request for"),
        ("pull_request", "converted_to_draft") => Cow::Borrowed("made a draft of"),
        _ => Cow::Owned(action.replace('_', " ")),
    }
}

fn promised<'a, T>(part: &'a Option<T>, subject: &Subject<'_>) -> Result<&'a T, Failure> {
    part.as_ref()
        .ok_or_else(|| Failure::bad_event(format!("a {} event without the object that describes it", subject.kind)))
}
