//! What a router answers about an event, and the check of that answer.
//!
//! A plugin, a mapping and the built-in subscriptions all answer with a [`Decision`]. It names endpoints by their index in the
//! list of candidates it was given, so it cannot name any other endpoint. Every answer goes through [`check`] before it is
//! stored: what passes can be stored as it is and sent as it is. The whole answer is refused at the first fault and nothing
//! in it is repaired, because half a decision is not what its author meant.
//!
//! Not known here: where candidates come from, what the payload looks like, how the guest was run. [`reserved_header`] says
//! which headers the host sets itself, [`Refused`] lists the faults that can be found.

mod headers;
mod refused;

use std::time::Duration;

use headers::{is_header_value, is_media_type, is_token};

pub use headers::reserved_header;
pub use refused::{Part, Refused};

/// What a router wants done with one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Deliver the bytes as received to every candidate.
    Pass,
    /// Deliver to these endpoints, with these payloads.
    Deliver(Plan),
    /// Deliver to nobody, on purpose.
    Drop(DropReason),
}

/// Who gets what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Payloads that routes refer to by index, so that many routes can share one. Each is named by a route.
    pub contents: Vec<Content>,
    /// The deliveries, at least one, each to another endpoint.
    pub routes: Vec<Route>,
    /// Candidates that get nothing, with the reason, for their owners to read.
    pub skips: Vec<Skip>,
    /// Free notes kept with the decision, e.g. which rule matched.
    pub annotations: Vec<(String, String)>,
}

/// A payload that a router made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// A media type, e.g. `application/json`.
    pub content_type: String,
    /// The bytes to send, as they are.
    pub body: Vec<u8>,
}

/// One delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Index among the candidates.
    pub endpoint: u32,
    /// Index into [`Plan::contents`]; `None` means the bytes as received.
    pub content: Option<u32>,
    /// Headers to add. A name may repeat. [`check`] returns the names in lower case.
    pub headers: Vec<(String, String)>,
    /// How long to wait before the first attempt.
    pub delay: Duration,
}

/// A candidate that gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Index among the candidates.
    pub endpoint: u32,
    /// Why, for its owner to read.
    pub reason: String,
}

/// Why an event goes to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropReason {
    /// Short and stable, for metrics: 1..=64 of `a-z`, `0-9` and `-`, e.g. `test-mode`.
    pub code: String,
    /// For people; may be empty.
    pub message: String,
}

/// Bounds on a decision. Routes and skips have no bound of their own: an endpoint appears once, so there are no more of them
/// than there are candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most contents.
    pub contents_max: usize,
    /// Most bytes of all contents together, their content types included.
    pub contents_bytes_max: usize,
    /// Most headers of one route.
    pub headers_max: usize,
    /// Most bytes of one route's header names and values together.
    pub headers_bytes_max: usize,
    /// Most annotations.
    pub annotations_max: usize,
    /// Most bytes of one annotation, name and value together.
    pub annotation_bytes_max: usize,
    /// Most bytes of a skip's reason.
    pub skip_reason_bytes_max: usize,
    /// Most characters of a drop's code.
    pub drop_code_chars_max: usize,
    /// Most bytes of a drop's message.
    pub drop_message_bytes_max: usize,
    /// Longest delay before a first attempt.
    pub delay_max: Duration,
}

impl Limits {
    /// Enough for one payload for each kind of receiver. One for each receiver would be as many rows, for a single event.
    pub const CONTENTS_MAX: usize = 64;
    /// All contents go to the store in one transaction, and are held in memory once per event being routed.
    pub const CONTENTS_BYTES_MAX: usize = 16 * 1024 * 1024;
    /// The host adds about a dozen of its own; common servers accept a hundred.
    pub const HEADERS_MAX: usize = 32;
    /// Common servers refuse more than 8 KiB to 16 KiB of headers in all, the host's own included.
    pub const HEADERS_BYTES_MAX: usize = 8 * 1024;
    /// Notes are for people to read beside the decision.
    pub const ANNOTATIONS_MAX: usize = 32;
    /// A note, not a second payload.
    pub const ANNOTATION_BYTES_MAX: usize = 1024;
    /// A sentence or two; there may be one per candidate.
    pub const SKIP_REASON_BYTES_MAX: usize = 512;
    /// A label of a metric.
    pub const DROP_CODE_CHARS_MAX: usize = 64;
    /// A paragraph.
    pub const DROP_MESSAGE_BYTES_MAX: usize = 1024;
    /// Enough for a pause over a night or a long weekend, and shorter than payloads are kept anywhere.
    pub const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            contents_max: Self::CONTENTS_MAX,
            contents_bytes_max: Self::CONTENTS_BYTES_MAX,
            headers_max: Self::HEADERS_MAX,
            headers_bytes_max: Self::HEADERS_BYTES_MAX,
            annotations_max: Self::ANNOTATIONS_MAX,
            annotation_bytes_max: Self::ANNOTATION_BYTES_MAX,
            skip_reason_bytes_max: Self::SKIP_REASON_BYTES_MAX,
            drop_code_chars_max: Self::DROP_CODE_CHARS_MAX,
            drop_message_bytes_max: Self::DROP_MESSAGE_BYTES_MAX,
            delay_max: Self::DELAY_MAX,
        }
    }
}

/// Accepts a decision over `candidates` endpoints, or says what is wrong with it.
///
/// What is returned is the decision given, with header names in lower case.
pub fn check(decision: Decision, candidates: usize, limits: &Limits) -> Result<Decision, Refused> {
    match decision {
        Decision::Pass => Ok(Decision::Pass),
        Decision::Deliver(plan) => check_plan(plan, candidates, limits).map(Decision::Deliver),
        Decision::Drop(reason) => check_drop(reason, limits).map(Decision::Drop),
    }
}

fn check_plan(mut plan: Plan, candidates: usize, limits: &Limits) -> Result<Plan, Refused> {
    if plan.routes.is_empty() {
        return Err(Refused::NoRoutes);
    }
    check_endpoints(&plan, candidates)?;
    check_contents(&plan.contents, limits)?;
    for (index, route) in plan.routes.iter_mut().enumerate() {
        check_route(index, route, plan.contents.len(), limits)?;
    }
    check_contents_used(&plan)?;
    for (index, skip) in plan.skips.iter().enumerate() {
        check_text(Part::Skip(index), &[&skip.reason], limits.skip_reason_bytes_max)?;
    }
    if plan.annotations.len() > limits.annotations_max {
        return Err(Refused::TooManyAnnotations {
            count: plan.annotations.len(),
            max: limits.annotations_max,
        });
    }
    for (index, (name, value)) in plan.annotations.iter().enumerate() {
        check_text(Part::Annotation(index), &[name, value], limits.annotation_bytes_max)?;
    }
    Ok(plan)
}

/// Every endpoint that is named is a candidate and is named once. The search ends at the first fault, so no more than
/// `candidates` and one entries are looked at, however many a guest returned.
fn check_endpoints(plan: &Plan, candidates: usize) -> Result<(), Refused> {
    let mut named = vec![false; candidates];
    let routes = plan
        .routes
        .iter()
        .enumerate()
        .map(|(index, route)| (Part::Route(index), route.endpoint));
    let skips = plan
        .skips
        .iter()
        .enumerate()
        .map(|(index, skip)| (Part::Skip(index), skip.endpoint));
    for (part, endpoint) in routes.chain(skips) {
        let Some(named) = usize::try_from(endpoint).ok().and_then(|index| named.get_mut(index)) else {
            return Err(Refused::EndpointOutOfRange {
                part,
                endpoint,
                candidates,
            });
        };
        if *named {
            return Err(Refused::EndpointTwice { part, endpoint });
        }
        *named = true;
    }
    Ok(())
}

fn check_contents(contents: &[Content], limits: &Limits) -> Result<(), Refused> {
    if contents.len() > limits.contents_max {
        return Err(Refused::TooManyContents {
            count: contents.len(),
            max: limits.contents_max,
        });
    }
    let mut bytes = 0_usize;
    for (index, content) in contents.iter().enumerate() {
        bytes = bytes.saturating_add(content.body.len()).saturating_add(content.content_type.len());
        if bytes > limits.contents_bytes_max {
            return Err(Refused::ContentsTooLarge {
                content: index,
                max_bytes: limits.contents_bytes_max,
            });
        }
        if !is_media_type(&content.content_type) {
            return Err(Refused::ContentType { content: index });
        }
    }
    Ok(())
}

/// Every content is named by a route. The indexes of routes have been checked before.
fn check_contents_used(plan: &Plan) -> Result<(), Refused> {
    let mut used = vec![false; plan.contents.len()];
    for content in plan.routes.iter().filter_map(|route| route.content) {
        used[content as usize] = true;
    }
    match used.iter().position(|used| !used) {
        Some(content) => Err(Refused::ContentUnused { content }),
        None => Ok(()),
    }
}

fn check_route(route: usize, given: &mut Route, contents: usize, limits: &Limits) -> Result<(), Refused> {
    if let Some(content) = given.content
        && usize::try_from(content).map_or(true, |index| index >= contents)
    {
        return Err(Refused::ContentOutOfRange { route, content, contents });
    }
    if given.delay > limits.delay_max {
        let (delay_secs, max_secs) = (given.delay.as_secs(), limits.delay_max.as_secs());
        return Err(Refused::DelayTooLong {
            route,
            delay_secs,
            max_secs,
        });
    }
    check_headers(route, &mut given.headers, limits)
}

fn check_headers(route: usize, headers: &mut [(String, String)], limits: &Limits) -> Result<(), Refused> {
    if headers.len() > limits.headers_max {
        return Err(Refused::TooManyHeaders {
            route,
            count: headers.len(),
            max: limits.headers_max,
        });
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits.headers_bytes_max {
        return Err(Refused::HeadersTooLarge {
            route,
            max_bytes: limits.headers_bytes_max,
        });
    }
    for (header, (name, value)) in headers.iter_mut().enumerate() {
        if !is_token(name) {
            return Err(Refused::HeaderName { route, header });
        }
        name.make_ascii_lowercase();
        if reserved_header(name) {
            return Err(Refused::HeaderReserved { route, name: name.clone() });
        }
        if !is_header_value(value) {
            return Err(Refused::HeaderValue { route, name: name.clone() });
        }
    }
    Ok(())
}

fn check_drop(reason: DropReason, limits: &Limits) -> Result<DropReason, Refused> {
    check_text(Part::DropCode, &[&reason.code], limits.drop_code_chars_max)?;
    let is_code_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if reason.code.is_empty() || !reason.code.bytes().all(is_code_byte) {
        return Err(Refused::DropCode);
    }
    check_text(Part::DropMessage, &[&reason.message], limits.drop_message_bytes_max)?;
    Ok(reason)
}

fn check_text(part: Part, texts: &[&str], max_bytes: usize) -> Result<(), Refused> {
    let bytes = texts.iter().map(|text| text.len()).sum();
    if bytes > max_bytes {
        return Err(Refused::TextTooLong { part, bytes, max_bytes });
    }
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Refused::Nul { part });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
