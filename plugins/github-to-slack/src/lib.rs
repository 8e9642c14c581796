//! Turns GitHub events into short Slack messages for the endpoints that ask for them.
//!
//! A sender takes GitHub's webhooks, with the event type read from the `X-GitHub-Event` header; each endpoint says in
//! its metadata what it wants:
//!
//! | key | value | absent |
//! |---|---|---|
//! | `repo` | `acme/site`, `acme/*` or `*` | any repository |
//! | `branch` | `main` or `release/*`; tags match no branch pattern | any branch or tag |
//! | `event` | `push`, `pull_request` or `pull_request.opened` | any event |
//! | `payload` | `original`: the bytes as received instead of a Slack message | a Slack message |
//!
//! The first three take several values, separated by commas. An endpoint that is passed over gets a reason that its
//! owner can read. Deletions that GitHub reports twice, pings and what bots do are dropped; see [`Config`].
//!
//! Reading order: this file decides; `payload` is what is read of an event, `subject` what it is about, `subscription`
//! what an endpoint wants, `message` writes the sentences, `slack` their markup.

mod message;
mod payload;
mod slack;
mod subject;
mod subscription;

use hookyard_guest::prelude::*;

use payload::Payload;
use subject::{Ref, Subject};
use subscription::Subscription;

/// What a sender may set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    ignore_bots: bool,
    drop_ping: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ignore_bots: true,
            drop_ping: true,
        }
    }
}

struct GithubToSlack;

impl Plugin for GithubToSlack {
    type Config = Config;

    fn manifest() -> Manifest {
        manifest!("Turns GitHub events into short Slack messages for the endpoints that ask for them.")
            .config_schema(include_str!("../config.schema.json"))
    }

    fn route(event: &Event, to: &Endpoints, config: &Config) -> Result<Decision, Failure> {
        let kind = event_kind(event)?;
        let payload: Payload<'_> = event.json()?;
        let subject = Subject::of(kind, &payload);

        if let Some(decision) = unwanted(&subject, &payload, config) {
            return Ok(decision);
        }

        let slack = Content::json(&slack::Message {
            text: message::text(&subject, &payload)?,
        })?;
        let mut plan = Plan::new();
        for endpoint in to {
            let subscription = Subscription::of(endpoint);
            if let Some(reason) = subscription.objection(&subject) {
                plan.skip(endpoint, reason);
            } else if subscription.wants_original {
                plan.forward(endpoint);
            } else {
                plan.send(endpoint, &slack);
            }
        }
        plan.annotate("rule", kind);
        Ok(plan.or_drop("no-match", format!("no endpoint wants {subject}")))
    }
}

hookyard_guest::export_plugin!(GithubToSlack);

/// What GitHub calls the event: the event's type, or the header `X-GitHub-Event` where the sender exposes it.
fn event_kind(event: &Event) -> Result<&str, Failure> {
    if event.content_type.starts_with("application/x-www-form-urlencoded") {
        return Err(
            Failure::bad_event("the webhook sends forms; set its content type to application/json on GitHub").with_code("form-encoded"),
        );
    }
    if !event.event_type.is_empty() {
        return Ok(&event.event_type);
    }
    event.header("x-github-event").ok_or_else(|| {
        Failure::bad_event("the event has no type; let the sender take it from the header X-GitHub-Event").with_code("no-event-type")
    })
}

/// The events that are dropped, whatever the endpoints ask for.
fn unwanted(subject: &Subject<'_>, payload: &Payload<'_>, config: &Config) -> Option<Decision> {
    if subject.kind == "ping" && config.drop_ping {
        return Some(Decision::drop("ping", "GitHub only tests the webhook"));
    }
    if let Some(sender) = payload.sender.as_ref().filter(|sender| sender.is_bot() && config.ignore_bots) {
        return Some(Decision::drop("bot-sender", format!("{} is a bot", &*sender.login)));
    }
    if subject.kind == "push" && payload.deleted {
        return Some(match subject.git_ref {
            Some(Ref::Tag(name)) => Decision::drop("tag-deleted", format!("tag {name} was deleted; the delete event reports it")),
            Some(Ref::Branch(name)) => Decision::drop("branch-deleted", format!("branch {name} was deleted; the delete event reports it")),
            None => Decision::drop("branch-deleted", "a ref was deleted; the delete event reports it"),
        });
    }
    None
}

#[cfg(test)]
mod tests;
