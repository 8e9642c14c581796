//! Answers that a host must refuse, and the honest one that carries annotations.

use hookyard_guest::bindings::hookyard::plugin::types::{Body, Content, Decision, Endpoint, Plan, Route};

/// Over every output limit a host may reasonably set.
pub(crate) const HUGE_BODY_BYTES: usize = 40_000_000;

/// Over an output limit of 16 MiB, and within a memory limit of 32 MiB.
pub(crate) const LARGE_BODY_BYTES: usize = 20_000_000;

/// The index of a content that no table has.
const NO_SUCH_CONTENT: u32 = 7;

pub(crate) fn output_of(bytes: usize) -> Decision {
    let content = Content {
        content_type: "text/plain".to_owned(),
        body: Body::Text("x".repeat(bytes)),
    };
    deliver(vec![content], vec![Route { content: Some(0), ..to(0) }])
}

pub(crate) fn routes(count: usize) -> Decision {
    deliver(Vec::new(), vec![to(0); count])
}

pub(crate) fn bad_index(endpoints: &[Endpoint]) -> Decision {
    deliver(Vec::new(), vec![to(count(endpoints))])
}

pub(crate) fn bad_content_index() -> Decision {
    deliver(
        Vec::new(),
        vec![Route {
            content: Some(NO_SUCH_CONTENT),
            ..to(0)
        }],
    )
}

pub(crate) fn duplicate_endpoint() -> Decision {
    deliver(Vec::new(), vec![to(0), to(0)])
}

pub(crate) fn empty_routes() -> Decision {
    deliver(Vec::new(), Vec::new())
}

pub(crate) fn reserved_header() -> Decision {
    let forged = ("webhook-signature".to_owned(), "v1,Zm9yZ2Vk".to_owned());
    deliver(
        Vec::new(),
        vec![Route {
            headers: vec![forged],
            ..to(0)
        }],
    )
}

/// Forwards to every endpoint, with notes; needs at least one endpoint to be accepted.
pub(crate) fn annotated(endpoints: &[Endpoint], annotations: Vec<(String, String)>) -> Decision {
    let routes = (0..count(endpoints)).map(to).collect();
    Decision::Deliver(Plan {
        contents: Vec::new(),
        routes,
        skips: Vec::new(),
        annotations,
    })
}

fn deliver(contents: Vec<Content>, routes: Vec<Route>) -> Decision {
    Decision::Deliver(Plan {
        contents,
        routes,
        skips: Vec::new(),
        annotations: Vec::new(),
    })
}

fn to(endpoint: u32) -> Route {
    Route {
        endpoint,
        content: None,
        headers: Vec::new(),
        delay_ms: 0,
    }
}

fn count(endpoints: &[Endpoint]) -> u32 {
    u32::try_from(endpoints.len()).expect("a 32-bit memory holds fewer endpoints than u32 counts")
}
