//! A request body that lets go of its memory as it is sent.
//!
//! The client keeps a copy of a body it was given whole, for a redirect or a repeat, until the answer is there: for a
//! receiver that takes the body and then is silent that would be until the deadline. This one is handed out in slices
//! and cannot be copied; redirects and repeats are off anyway. Its length is known, so the request says
//! `content-length` and not `transfer-encoding: chunked`, which some receivers refuse.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Bytes of a slice: a few of the kernel's send buffer, so that where the connection copies what it is given it never
/// copies much.
const SLICE_BYTES: usize = 64 * 1_024;

pub(super) struct Upload {
    rest: Bytes,
}

impl Upload {
    pub(super) fn body(bytes: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Self { rest: bytes })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let slice = if self.rest.len() <= SLICE_BYTES {
            // Not a slice of the rest: that would leave a reference to the memory here.
            std::mem::take(&mut self.rest)
        } else {
            self.rest.split_to(SLICE_BYTES)
        };
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
