//! The rest of a request's body that nobody read.
//!
//! A request may be refused before its body was read: by its credential, its announced length or its first bytes. Closed
//! then, the connection would be reset under a client that is still writing, and most clients report that instead of the
//! answer. So what is left is read and thrown away, within bounds, while the answer goes out; servers call this lingering.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, http::Request};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, header};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of a body that are read for the sake of the answer. More than this is somebody who does not listen.
const BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// How long that may take: what nginx waits between two reads of a lingering connection.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The request with a body whose rest is read once its reader drops it.
pub fn read_to_its_end(request: Request<Incoming>, readers: &Readers) -> Request<Body> {
    // Whoever asks before sending has not sent, and does not once it has an answer.
    if request.headers().contains_key(header::EXPECT) {
        return request.map(Body::new);
    }
    let readers = readers.clone();
    request.map(|body| Body::new(Lingering { body: Some(body), readers }))
}

/// Who reads on: tasks that the server waits for, and cuts when it stops.
#[derive(Clone)]
pub struct Readers {
    pub tasks: TaskTracker,
    pub cut: CancellationToken,
}

struct Lingering {
    /// None once it is given away.
    body: Option<Incoming>,
    readers: Readers,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        // A body is dropped within a request; where the runtime is already gone, so is the connection.
        if tokio::runtime::Handle::try_current().is_ok() {
            let cut = self.readers.cut.clone();
            self.readers.tasks.spawn(async move {
                tokio::select! {
                    _ = tokio::time::timeout(TIME_MAX, throw_away(body)) => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > BYTES_MAX {
            return;
        }
    }
}
