//! A request body that lets go of its memory as it is sent, and at the latest when its attempt ends.
//!
//! The client keeps a copy of a body it was given whole, for a redirect or a repeat, until the answer is there: for a
//! receiver that takes the body and then is silent that would be until the deadline. And a connection to a receiver that
//! stopped reading outlives the attempt that was given up, until the system ends it after 30 s without progress. So this
//! body is handed out in pieces that are copies, it cannot be copied itself (redirects and repeats are off anyway), and
//! what is left of it goes when its [`Held`] is dropped. Its length is known, so the request says `content-length` and
//! not `transfer-encoding: chunked`, which some receivers refuse.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Bytes of a piece: what a connection may keep of a body whose attempt is over.
const PIECE_BYTES: usize = 64 * 1_024;

/// What is left to be sent.
type Rest = Arc<Mutex<Bytes>>;

/// Keeps a body for as long as its attempt lasts.
pub(super) struct Held(Rest);

struct Upload(Rest);

/// The body for a request, and what keeps it.
pub(super) fn upload(bytes: Bytes) -> (reqwest::Body, Held) {
    let rest = Arc::new(Mutex::new(bytes));
    (reqwest::Body::wrap(Upload(Arc::clone(&rest))), Held(rest))
}

fn lock(rest: &Rest) -> MutexGuard<'_, Bytes> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(std::mem::take(&mut *lock(&self.0)));
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut rest = lock(&self.0);
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = if rest.len() <= PIECE_BYTES {
            std::mem::take(&mut *rest)
        } else {
            // A copy: a slice would keep the memory of the whole.
            Bytes::copy_from_slice(&rest.split_to(PIECE_BYTES))
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(lock(&self.0).len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use hookyard_domain::address::{AddressPolicy, Loopback};
    use http::HeaderMap;
    use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::oneshot};
    use url::Url;

    use crate::Egress;

    use super::*;

    const BODY_BYTES: usize = 20 * 1_024 * 1_024;
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A body that tells when its memory is free.
    struct Telling(Vec<u8>, Option<oneshot::Sender<()>>);

    impl AsRef<[u8]> for Telling {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Telling {
        fn drop(&mut self) {
            self.1.take().map(|told| told.send(()));
        }
    }

    fn telling() -> (Bytes, oneshot::Receiver<()>) {
        let (told, freed) = oneshot::channel();
        (Bytes::from_owner(Telling(vec![b'x'; BODY_BYTES], Some(told))), freed)
    }

    fn egress() -> Egress {
        let policy = AddressPolicy {
            loopback: Loopback::AllowedForTests,
            allowed: Vec::new(),
        };
        Egress::new(policy, PATIENCE).expect("a client can be built")
    }

    async fn listen() -> (TcpListener, Url) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        (listener, Url::parse(&format!("http://{address}/")).expect("it is a URL"))
    }

    #[tokio::test]
    async fn a_body_is_let_go_when_it_is_sent_and_the_answer_is_still_to_come() {
        let (listener, url) = listen().await;
        let (body, freed) = telling();
        let post = tokio::spawn(async move { egress().post(&url, HeaderMap::new(), body, PATIENCE).await });
        let (mut stream, _) = listener.accept().await.expect("it connects");
        let (mut read, mut piece, mut head) = (0, vec![0; PIECE_BYTES], Vec::new());
        while read < BODY_BYTES {
            let bytes = stream.read(&mut piece).await.expect("it sends");
            if head.len() < PIECE_BYTES {
                head.extend_from_slice(&piece[..bytes]);
            }
            read += bytes;
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.contains(&format!("content-length: {BODY_BYTES}\r\n")) && !head.contains("transfer-encoding"));
        tokio::time::timeout(PATIENCE / 2, freed)
            .await
            .expect("in time")
            .expect("its memory is free");
        assert!(!post.is_finished(), "the answer is waited for");
        post.abort();
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_is_let_go_when_its_attempt_ends() {
        // The system opens the connection and takes some megabytes; nobody accepts it.
        let (_listener, url) = listen().await;
        let (body, freed) = telling();
        let answer = egress().post(&url, HeaderMap::new(), body, Duration::from_millis(500)).await;
        assert!(answer.is_err());
        tokio::time::timeout(PATIENCE / 2, freed)
            .await
            .expect("in time")
            .expect("its memory is free");
    }
}
