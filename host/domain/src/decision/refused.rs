//! What can be wrong with a decision.
//!
//! A plugin's author reads these, so each says which part of the answer is wrong, by its index, and what would be right. The
//! only text of a guest that is repeated is a header's name that is made as such names are, so that no control character
//! reaches a log line.

use std::fmt;

/// Which part of a decision a refusal is about, by its index in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `plan.contents[i]`.
    Content(usize),
    /// `plan.routes[i]`.
    Route(usize),
    /// `plan.skips[i]`.
    Skip(usize),
    /// `plan.annotations[i]`.
    Annotation(usize),
    /// The drop's code.
    DropCode,
    /// The drop's message.
    DropMessage,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(index) => write!(f, "content {index}"),
            Self::Route(index) => write!(f, "route {index}"),
            Self::Skip(index) => write!(f, "skip {index}"),
            Self::Annotation(index) => write!(f, "annotation {index}"),
            Self::DropCode => f.write_str("the drop code"),
            Self::DropMessage => f.write_str("the drop message"),
        }
    }
}

/// Why a decision is not accepted; the first fault found. Indexes count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The plan delivers to nobody.
    #[error("the plan has no routes: to deliver to nobody, use drop")]
    NoRoutes,
    /// A route or skip names no candidate.
    #[error("{part} names endpoint {endpoint}, but there are {candidates} candidates")]
    EndpointOutOfRange {
        /// The route or skip.
        part: Part,
        /// The index it names.
        endpoint: u32,
        /// How many candidates there are.
        candidates: usize,
    },
    /// Two routes, two skips, or a route and a skip name one endpoint.
    #[error("{part} names endpoint {endpoint} a second time")]
    EndpointTwice {
        /// The later of the two, skips after routes.
        part: Part,
        /// The index it names.
        endpoint: u32,
    },
    /// A route names no content.
    #[error("route {route} names content {content}, but there are {contents}")]
    ContentOutOfRange {
        /// The route.
        route: usize,
        /// The index it names.
        content: u32,
        /// How many contents there are.
        contents: usize,
    },
    /// No route names a content. It would be stored with the event and sent to nobody.
    #[error("no route names content {content}: leave it out")]
    ContentUnused {
        /// The first such content.
        content: usize,
    },
    /// A content's type is not a media type.
    #[error("content {content} has no valid content type: one such as application/json is expected")]
    ContentType {
        /// The content.
        content: usize,
    },
    /// There are too many contents.
    #[error("{count} contents, at most {max} are allowed")]
    TooManyContents {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The contents together are too large.
    #[error("the contents have more than the {max_bytes} bytes allowed in all, at content {content}")]
    ContentsTooLarge {
        /// The content that passes the limit.
        content: usize,
        /// How many bytes all may have.
        max_bytes: usize,
    },
    /// A route has too many headers.
    #[error("route {route} has {count} headers, at most {max} are allowed")]
    TooManyHeaders {
        /// The route.
        route: usize,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// A route's headers are too large.
    #[error("the headers of route {route} have more than the {max_bytes} bytes allowed")]
    HeadersTooLarge {
        /// The route.
        route: usize,
        /// How many bytes its names and values may have.
        max_bytes: usize,
    },
    /// A header's name is not a token.
    #[error("header {header} of route {route} has no valid name")]
    HeaderName {
        /// The route.
        route: usize,
        /// The header, by its index.
        header: usize,
    },
    /// A header's value is not visible ASCII with spaces and tabs inside.
    #[error("header {name} of route {route} has no valid value: it may hold visible ASCII, with spaces and tabs inside")]
    HeaderValue {
        /// The route.
        route: usize,
        /// The name, in lower case.
        name: String,
    },
    /// A header is one that the host sets or refuses to send.
    #[error("header {name} of route {route} is reserved")]
    HeaderReserved {
        /// The route.
        route: usize,
        /// The name, in lower case.
        name: String,
    },
    /// A route waits too long.
    #[error("route {route} waits {delay_secs} s, at most {max_secs} s are allowed")]
    DelayTooLong {
        /// The route.
        route: usize,
        /// Its delay in whole seconds.
        delay_secs: u64,
        /// The longest allowed.
        max_secs: u64,
    },
    /// There are too many annotations.
    #[error("{count} annotations, at most {max} are allowed")]
    TooManyAnnotations {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A text is too long.
    #[error("{part} has {bytes} bytes, at most {max_bytes} are allowed")]
    TextTooLong {
        /// Whose text it is.
        part: Part,
        /// How many bytes it has.
        bytes: usize,
        /// How many it may have.
        max_bytes: usize,
    },
    /// A text holds the character NUL, which a PostgreSQL text cannot.
    #[error("{part} holds a NUL character, which cannot be stored")]
    Nul {
        /// Whose text it is.
        part: Part,
    },
    /// A drop code is empty or has other characters than `a-z`, `0-9` and `-`.
    #[error("the drop code is not made of one or more of a-z, 0-9 and -")]
    DropCode,
}
