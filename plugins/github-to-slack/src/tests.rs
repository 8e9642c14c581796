//! The plugin over real payloads: what is said, who gets it, what is dropped.

use hookyard_guest::Payload as Sent;
use hookyard_guest::prelude::*;

use crate::{Config, GithubToSlack};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/github/", $name, ".json"))
    };
}

const PUSH: &str = fixture!("push.branch");

fn routed(kind: &str, body: &str, to: &Endpoints) -> Decision {
    GithubToSlack::route(&Event::of_type(kind).with_text(body), to, &Config::default()).unwrap()
}

fn planned(kind: &str, body: &str, to: &Endpoints) -> Plan {
    match routed(kind, body, to) {
        Decision::Deliver(plan) => plan,
        other => panic!("{kind} was not delivered: {other:?}"),
    }
}

fn dropped(decision: Decision) -> (String, String) {
    match decision {
        Decision::Drop(reason) => (reason.code, reason.message),
        other => panic!("not dropped: {other:?}"),
    }
}

fn everyone() -> Endpoints {
    Endpoints::from_iter([Endpoint::named("all")])
}

/// The text sent to an endpoint that has no metadata.
fn said(kind: &str, body: &str) -> String {
    #[derive(Deserialize)]
    struct Slack {
        text: String,
    }
    let plan = planned(kind, body, &everyone());
    let Some(Sent::Content(content)) = plan.payload_for("all") else {
        panic!("{kind} was not turned into a message")
    };
    assert_eq!(content.content_type(), "application/json");
    serde_json::from_slice::<Slack>(content.body().bytes()).unwrap().text
}

#[test]
fn every_kind_of_event_has_its_sentence() {
    let hello = "[<https://github.com/Codertocat/Hello-World|Codertocat/Hello-World>] Codertocat";
    let issue = "https://github.com/Codertocat/Hello-World/issues/1";
    let pull = "<https://github.com/Codertocat/Hello-World/pull/2|#2 Update the README with new information.> (changes → master)";
    let spelling = "#1 Spelling error in the README file>";
    let cases = [
        (
            "pull_request",
            fixture!("pull_request.opened"),
            format!("{hello} opened pull request {pull}"),
        ),
        (
            "pull_request",
            fixture!("pull_request.closed"),
            format!("{hello} closed pull request {pull}"),
        ),
        (
            "issues",
            fixture!("issues.opened"),
            format!("{hello} opened issue <{issue}|{spelling}"),
        ),
        (
            "issue_comment",
            fixture!("issue_comment.created"),
            format!(
                "{hello} commented on <{issue}#issuecomment-492700400|{spelling}\n\
                 > You are totally right! I'll get this fixed right away."
            ),
        ),
        (
            "release",
            fixture!("release.published"),
            format!("{hello} published release <https://github.com/Codertocat/Hello-World/releases/tag/0.0.1|0.0.1>"),
        ),
        ("create", fixture!("create.tag"), format!("{hello} created tag simple-tag")),
        ("delete", fixture!("delete.tag"), format!("{hello} deleted tag simple-tag")),
        ("star", fixture!("star.created"), format!("{hello} gave a star")),
        (
            "check_run",
            fixture!("check_run.completed"),
            format!("{hello}: check run completed"),
        ),
        (
            "deployment_status",
            fixture!("deployment_status.created"),
            format!("{hello}: deployment status created"),
        ),
    ];
    for (kind, body, expected) in cases {
        assert_eq!(said(kind, body), expected);
    }
    assert!(
        said("fork", fixture!("fork.repository"))
            .ends_with("Octocoders forked it to <https://github.com/Octocoders/Hello-World|Octocoders/Hello-World>")
    );
    assert!(said("workflow_run", fixture!("workflow_run.completed")).ends_with(
        ": workflow <https://github.com/octo-org/octo-repo/actions/runs/289782451|\
         ci(action): update actions/setup-node digest to 8c91899 #163> on master: success"
    ));
}

#[test]
fn a_push_lists_its_commits() {
    let commit = "https://github.com/Codertocat/Hello-World/commit/6113728f27ae82c7b1a177c8d03f9e96e0adf246";
    assert_eq!(
        said("push", PUSH),
        format!(
            "[<https://github.com/Codertocat/Hello-World|Codertocat/Hello-World>] Codertocat pushed 1 commit to \
             <{commit}|master>\n• <{commit}|6113728> Initial commit"
        )
    );
}

#[test]
fn a_merge_is_called_a_merge() {
    let body = fixture!("pull_request.closed").replace("\"merged\": false", "\"merged\": true");
    assert!(said("pull_request", &body).contains(" merged pull request "));
}

#[test]
fn actions_of_several_words_still_make_a_sentence() {
    let body = fixture!("pull_request.opened").replace("\"action\": \"opened\"", "\"action\": \"review_requested\"");
    assert!(said("pull_request", &body).contains(" Codertocat requested a review of pull request <"));
}

#[test]
fn a_long_push_names_five_commits_and_counts_the_rest() {
    let commits: Vec<String> = (0..40)
        .map(|place| format!(r#"{{"id":"{place:040}","message":"change {place}\n\nwhy"}}"#))
        .collect();
    let body = format!(r#"{{"ref":"refs/heads/main","commits":[{}]}}"#, commits.join(","));
    let text = said("push", &body);
    assert_eq!(text.lines().count(), 7);
    assert!(text.ends_with("• 0000000 change 4\n… and 35 more"), "{text}");
}

#[test]
fn a_hostile_event_stays_within_slacks_bounds_and_cannot_mention_anyone() {
    let url = format!("https://github.com/{}", "x".repeat(270));
    for words in ["<!channel> & ", "&", "ä"] {
        let hostile = words.repeat(1_000);
        let commit = format!(r#"{{"id":"{hostile}","message":"{hostile}","url":"{url}"}}"#);
        let body = format!(
            r#"{{"action":"{hostile}","sender":{{"login":"{hostile}"}},
                "repository":{{"full_name":"{hostile}","html_url":"{url}"}},
                "ref":"refs/heads/{hostile}","compare":"{url}","commits":[{}],
                "pull_request":{{"number":1,"title":"{hostile}","html_url":"{url}",
                    "head":{{"ref":"{hostile}"}},"base":{{"ref":"{hostile}"}}}}}}"#,
            vec![commit; 50].join(",")
        );
        for kind in ["push", "pull_request", "surprise"] {
            let text = said(kind, &body);
            assert!(text.chars().count() <= 4_000, "{kind}: {}", text.chars().count());
            assert!(!text.contains("<!"), "{text}");
        }
    }
}

#[test]
fn endpoints_choose_by_repository_branch_and_event() {
    let to = Endpoints::from_iter([
        Endpoint::named("releases").with_metadata("branch", "release/*"),
        Endpoint::named("hello")
            .with_metadata("repo", "Codertocat/*")
            .with_metadata("branch", "master"),
        Endpoint::named("pulls").with_metadata("event", "pull_request"),
        Endpoint::named("archive").with_metadata("payload", "original"),
    ]);
    let plan = planned("push", PUSH, &to);
    assert!(matches!(plan.payload_for("hello"), Some(Sent::Content(_))));
    assert!(matches!(plan.payload_for("archive"), Some(Sent::Original)));
    assert_eq!(plan.skip_reason("releases"), Some("wants branch release/*, this is master"));
    assert_eq!(plan.skip_reason("pulls"), Some("wants event pull_request, this is push"));
    assert_eq!(plan.annotation("rule"), Some("push"));
}

#[test]
fn an_event_nobody_wants_is_dropped_with_the_reasons() {
    let to = Endpoints::from_iter([Endpoint::named("pulls").with_metadata("event", "pull_request")]);
    let (code, message) = dropped(routed("push", PUSH, &to));
    assert_eq!(code, "no-match");
    assert_eq!(
        message,
        "no endpoint wants push in Codertocat/Hello-World on branch master: pulls – wants event pull_request, this is push"
    );
}

#[test]
fn pings_are_dropped_unless_the_sender_wants_them() {
    let ping = fixture!("ping.webhook");
    assert_eq!(dropped(routed("ping", ping, &everyone())).0, "ping");
    let heard = Config {
        drop_ping: false,
        ..Config::default()
    };
    let decision = GithubToSlack::route(&Event::of_type("ping").with_text(ping), &everyone(), &heard).unwrap();
    assert!(matches!(decision, Decision::Deliver(_)));
}

#[test]
fn bots_are_ignored_unless_the_sender_wants_them() {
    let body = PUSH.replace("\"type\": \"User\"", "\"type\": \"Bot\"");
    let (code, message) = dropped(routed("push", &body, &everyone()));
    assert_eq!((code.as_str(), message.as_str()), ("bot-sender", "Codertocat is a bot"));
    let heard = Config {
        ignore_bots: false,
        ..Config::default()
    };
    let decision = GithubToSlack::route(&Event::of_type("push").with_text(body), &everyone(), &heard).unwrap();
    assert!(matches!(decision, Decision::Deliver(_)));
}

#[test]
fn a_push_that_deletes_is_left_to_the_delete_event() {
    let tag = fixture!("push.tag-deleted");
    assert_eq!(dropped(routed("push", tag, &everyone())).0, "tag-deleted");
    let branch = tag.replace("refs/tags/simple-tag", "refs/heads/feature/old");
    let (code, message) = dropped(routed("push", &branch, &everyone()));
    assert_eq!(code, "branch-deleted");
    assert!(message.contains("feature/old"), "{message}");
}

#[test]
fn the_event_type_may_come_from_the_header() {
    let event = Event::default().with_header("X-GitHub-Event", "push").with_text(PUSH);
    assert!(GithubToSlack::route(&event, &everyone(), &Config::default()).is_ok());
    let event = Event::default().with_text(PUSH);
    let failure = GithubToSlack::route(&event, &everyone(), &Config::default()).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::BadEvent, "no-event-type"));
}

#[test]
fn a_body_that_is_no_github_event_is_a_bad_event() {
    let refused = |event: Event| GithubToSlack::route(&event, &everyone(), &Config::default()).unwrap_err();
    let truncated = refused(Event::of_type("push").with_text(&PUSH[..500]));
    assert_eq!(truncated.kind, FailureKind::BadEvent);
    assert!(truncated.message.contains("line"), "{truncated}");
    let empty = refused(Event::of_type("pull_request").with_text("{}"));
    assert!(empty.message.contains("a pull_request event without"), "{empty}");
    let form = Event {
        content_type: "application/x-www-form-urlencoded".to_owned(),
        ..Event::of_type("push")
    };
    assert_eq!(refused(form.with_text("payload=%7B%7D")).code, "form-encoded");
}

#[test]
fn the_configuration_may_be_empty_but_not_misspelt() {
    use hookyard_guest::plugin::check_config;
    assert_eq!(check_config::<GithubToSlack>("{}"), Ok(()));
    assert_eq!(check_config::<GithubToSlack>(r#"{"ignore_bots":false,"drop_ping":false}"#), Ok(()));
    let problems = check_config::<GithubToSlack>(r#"{"ignore_bot":true}"#).unwrap_err();
    assert!(problems[0].message.contains("unknown field `ignore_bot`"), "{problems:?}");
}

#[test]
fn the_schema_in_the_manifest_is_json_and_names_every_setting() {
    let schema = GithubToSlack::manifest().config_schema.unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["drop_ping", "ignore_bots"]);
}
