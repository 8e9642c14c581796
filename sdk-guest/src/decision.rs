//! What a plugin answers: pass, drop, or a plan of deliveries.
//!
//! The contract's plan is two tables that point into each other by index. [`Plan`] keeps those indexes itself: a
//! [`Content`] is entered once however many endpoints get it, an endpoint is delivered to at most once, and a plan
//! without deliveries turns into a drop, because the host refuses an empty one.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use crate::{Body, Endpoint, Failure};

/// How many skip reasons go into the message of a drop that comes from an empty plan; more would make the line unreadable.
const SKIP_REASONS_IN_DROP_MAX: usize = 5;

/// What happens to an event.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Deliver the bytes as received to every candidate.
    Pass,
    /// Deliver to these endpoints, with these payloads. Made from a [`Plan`] by `into()` or [`Plan::or_drop`].
    Deliver(Plan),
    /// Deliver to nobody, on purpose.
    Drop(DropReason),
}

impl Decision {
    /// Delivers to nobody, on purpose. The code is short and stable, for metrics: `test-mode`.
    pub fn drop(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Drop(DropReason {
            code: code.into(),
            message: message.into(),
        })
    }
}

/// Why an event was dropped on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropReason {
    pub code: String,
    pub message: String,
}

/// A payload to send instead of the bytes as received. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Content(Rc<ContentParts>);

#[derive(Debug, Clone)]
pub(crate) struct ContentParts {
    pub(crate) content_type: String,
    pub(crate) body: Body,
}

impl Content {
    /// A payload of any type.
    pub fn new(content_type: impl Into<String>, body: impl Into<Body>) -> Self {
        Self(Rc::new(ContentParts {
            content_type: content_type.into(),
            body: body.into(),
        }))
    }

    /// A value as JSON.
    ///
    /// # Errors
    ///
    /// `internal` when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Failure> {
        Ok(Self::new("application/json", serde_json::to_string(value)?))
    }

    /// Its MIME type.
    pub fn content_type(&self) -> &str {
        &self.0.content_type
    }

    /// Its payload.
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_parts(self) -> ContentParts {
        Rc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }
}

/// What one delivery carries.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// The bytes as received.
    Original,
    Content(&'a Content),
}

/// The deliveries of one event.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub(crate) contents: Vec<Content>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) skips: Vec<Skip>,
    pub(crate) annotations: Vec<(String, String)>,
    /// The highest endpoint index spoken of so far; above it nothing can be planned twice.
    highest: Option<u32>,
}

/// One planned delivery; [`Plan::send`] and [`Plan::forward`] hand it out to be refined.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(crate) endpoint: u32,
    endpoint_name: String,
    pub(crate) content: Option<u32>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) delay: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Skip {
    pub(crate) endpoint: u32,
    endpoint_name: String,
    pub(crate) reason: String,
}

impl Delivery {
    /// Adds a header. The host refuses names on its reserved list (signatures, host, content-length, hop-by-hop).
    pub fn header(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Waits before the first attempt; kept in whole milliseconds.
    pub fn delay(&mut self, delay: Duration) -> &mut Self {
        self.delay = delay;
        self
    }
}

impl Plan {
    /// Starts an empty plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends `content` to an endpoint, replacing what was planned for that endpoint before.
    pub fn send(&mut self, endpoint: &Endpoint, content: &Content) -> &mut Delivery {
        let index = self.enter(content);
        self.deliver(endpoint, Some(index))
    }

    /// Forwards the bytes as received to an endpoint, replacing what was planned for that endpoint before.
    pub fn forward(&mut self, endpoint: &Endpoint) -> &mut Delivery {
        self.deliver(endpoint, None)
    }

    /// Keeps the reason why an endpoint gets nothing, for its owner to read.
    pub fn skip(&mut self, endpoint: &Endpoint, reason: impl Into<String>) -> &mut Self {
        self.forget(endpoint.index);
        self.skips.push(Skip {
            endpoint: endpoint.index,
            endpoint_name: endpoint.name.clone(),
            reason: reason.into(),
        });
        self
    }

    /// Keeps a note with the decision, for instance which rule matched.
    pub fn annotate(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.annotations.push((name.into(), value.into()));
        self
    }

    /// Whether nothing is delivered.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Turns the plan into a decision; a plan that delivers nothing becomes a drop with this code, this message and the
    /// first skip reasons, since a drop keeps no others.
    pub fn or_drop(self, code: impl Into<String>, message: impl Into<String>) -> Decision {
        if !self.is_empty() {
            return Decision::Deliver(self);
        }
        let mut message = message.into();
        for (place, skip) in self.skips.iter().take(SKIP_REASONS_IN_DROP_MAX).enumerate() {
            message.push_str(if place == 0 { ": " } else { "; " });
            message.push_str(&skip.endpoint_name);
            message.push_str(" – ");
            message.push_str(&skip.reason);
        }
        if self.skips.len() > SKIP_REASONS_IN_DROP_MAX {
            message.push_str(&format!("; and {} more", self.skips.len() - SKIP_REASONS_IN_DROP_MAX));
        }
        Decision::drop(code, message)
    }

    /// Whether the endpoint of that name gets a delivery; for tests.
    pub fn sends_to(&self, endpoint_name: &str) -> bool {
        self.deliveries.iter().any(|delivery| delivery.endpoint_name == endpoint_name)
    }

    /// What the endpoint of that name gets, if anything; for tests.
    pub fn payload_for(&self, endpoint_name: &str) -> Option<Payload<'_>> {
        let delivery = self.deliveries.iter().find(|delivery| delivery.endpoint_name == endpoint_name)?;
        Some(
            delivery
                .content
                .map_or(Payload::Original, |index| Payload::Content(&self.contents[index as usize])),
        )
    }

    /// Why the endpoint of that name gets nothing, if that was said; for tests.
    pub fn skip_reason(&self, endpoint_name: &str) -> Option<&str> {
        self.skips
            .iter()
            .find(|skip| skip.endpoint_name == endpoint_name)
            .map(|skip| skip.reason.as_str())
    }

    /// The first note of that name; for tests.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn enter(&mut self, content: &Content) -> u32 {
        let known = self.contents.iter().position(|known| Rc::ptr_eq(&known.0, &content.0));
        let index = known.unwrap_or_else(|| {
            self.contents.push(content.clone());
            self.contents.len() - 1
        });
        u32::try_from(index).expect("a guest's 32-bit memory holds fewer contents than u32 counts")
    }

    fn deliver(&mut self, endpoint: &Endpoint, content: Option<u32>) -> &mut Delivery {
        self.forget(endpoint.index);
        self.deliveries.push(Delivery {
            endpoint: endpoint.index,
            endpoint_name: endpoint.name.clone(),
            content,
            headers: Vec::new(),
            delay: Duration::ZERO,
        });
        self.deliveries.last_mut().expect("one was pushed in the line above")
    }

    /// Removes what was said about an endpoint. A plugin walks endpoints in order, so the lists are searched only when
    /// it goes back.
    fn forget(&mut self, endpoint: u32) {
        if self.highest.is_some_and(|highest| endpoint <= highest) {
            self.deliveries.retain(|delivery| delivery.endpoint != endpoint);
            self.skips.retain(|skip| skip.endpoint != endpoint);
        }
        self.highest = self.highest.max(Some(endpoint));
    }
}

/// A plan that delivers nothing becomes a drop with the code `no-match`.
impl From<Plan> for Decision {
    fn from(plan: Plan) -> Self {
        plan.or_drop("no-match", "no endpoint was chosen")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoints;

    fn endpoints(count: usize) -> Endpoints {
        (0..count).map(|place| Endpoint::named(format!("e{place}"))).collect()
    }

    #[test]
    fn a_content_is_entered_once_however_many_endpoints_get_it() {
        let endpoints = endpoints(3);
        let shared = Content::new("text/plain", "same");
        let other = Content::new("text/plain", "same");
        let mut plan = Plan::new();
        for endpoint in &endpoints {
            plan.send(endpoint, &shared);
        }
        plan.send(endpoints.iter().next().unwrap(), &other);
        assert_eq!(plan.contents.len(), 2, "contents are shared by handle, not by comparing bodies");
        assert_eq!(
            plan.deliveries.iter().map(|delivery| delivery.content).collect::<Vec<_>>(),
            [Some(0), Some(0), Some(1)]
        );
    }

    #[test]
    fn an_endpoint_is_delivered_to_or_skipped_but_never_twice_in_any_order() {
        let endpoints = endpoints(6);
        let all: Vec<_> = endpoints.iter().collect();
        let mut plan = Plan::new();
        plan.forward(all[5]).header("x-try", "first");
        plan.forward(all[2]);
        plan.forward(all[5]).header("x-try", "second").delay(Duration::from_secs(2));
        plan.skip(all[2], "changed its mind");
        assert_eq!(plan.deliveries.len(), 1);
        assert_eq!(plan.deliveries[0].headers, [("x-try".to_owned(), "second".to_owned())]);
        assert_eq!(plan.skip_reason("e2"), Some("changed its mind"));
        plan.forward(all[2]);
        assert!(plan.sends_to("e2") && plan.skip_reason("e2").is_none());
    }

    #[test]
    fn a_plan_without_deliveries_becomes_a_drop_that_repeats_the_first_reasons() {
        let endpoints = endpoints(7);
        let mut plan = Plan::new();
        for endpoint in &endpoints {
            plan.skip(endpoint, "asleep");
        }
        let Decision::Drop(reason) = Decision::from(plan) else {
            panic!("an empty plan must not be delivered")
        };
        assert_eq!(reason.code, "no-match");
        assert!(
            reason.message.starts_with("no endpoint was chosen: e0 – asleep; e1 – asleep"),
            "{}",
            reason.message
        );
        assert!(reason.message.ends_with("e4 – asleep; and 2 more"), "{}", reason.message);
    }

    #[test]
    fn a_plan_with_a_delivery_is_delivered() {
        let endpoints = endpoints(2);
        let decision = endpoints
            .matching(|endpoint| endpoint.name == "e1")
            .forward()
            .or_drop("none", "nobody");
        assert!(matches!(decision, Decision::Deliver(plan) if plan.sends_to("e1") && !plan.sends_to("e0")));
    }
}
