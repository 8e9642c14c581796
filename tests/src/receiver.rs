//! An HTTP receiver on loopback that does what a test tells it to, well or badly.
//!
//! It keeps every request in full and answers by script: per path a list of replies, the last of which repeats. Without a
//! script it answers 200. It speaks HTTP/1.1 only, as plain HTTP receivers do.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, sync::DropGuard};

/// One piece of an endless body.
const FLOOD_BYTES: &[u8] = &[b'x'; 16 * 1024];

/// What a receiver does with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    Text(u16, String),
    /// 302 to the given place.
    Redirect(String),
    /// Never answers and keeps the connection.
    Hang,
    /// Closes the connection without an answer.
    Close,
    After(Duration, Box<Reply>),
    /// 200 with a body that never ends.
    Flood,
}

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When its last byte was in.
    pub at: Instant,
}

impl Received {
    /// The value of a header, empty when it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    count: watch::Sender<usize>,
}

/// A listening receiver; it stops when dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    _listening: DropGuard,
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the machine has none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        let closing = CancellationToken::new();
        tokio::spawn(
            closing
                .clone()
                .run_until_cancelled_owned(listen(listener, Arc::clone(&state), closing.clone())),
        );
        Self {
            address,
            state,
            _listening: closing.drop_guard(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything received so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|one| one.path == path).collect()
    }

    /// Sets the replies to the next requests for a path; the last one repeats.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.state.scripts).insert(path.to_owned(), replies.into_iter().collect());
    }

    /// Waits until the condition holds for what was received, and returns that.
    ///
    /// # Panics
    /// When it does not within `deadline`; the message says what was there.
    pub async fn wait_until(&self, deadline: Duration, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut count = self.state.count.subscribe();
        let waited = tokio::time::timeout(deadline, async {
            loop {
                let received = self.received();
                if condition(&received) {
                    return received;
                }
                count.changed().await.expect("the receiver holds the sender");
            }
        });
        match waited.await {
            Ok(received) => received,
            Err(_) => {
                let there: Vec<_> = self
                    .received()
                    .iter()
                    .map(|one| format!("{} ({} bytes)", one.path, one.body.len()))
                    .collect();
                panic!("after {deadline:?} the receiver had {} requests: {there:#?}", there.len());
            }
        }
    }

    /// Waits until at least `count` requests are there.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(crate::wait::PATIENCE, |received| received.len() >= count).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: TcpListener, state: Arc<State>, closing: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = hyper::service::service_fn(move |request| answer(Arc::clone(&state), request));
        let serve = async move {
            let server = auto::Builder::new(TokioExecutor::new()).http1_only();
            // Several scripts end the connection early on purpose.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        };
        tokio::spawn(closing.clone().run_until_cancelled_owned(serve));
    }
}

/// Ends the connection: hyper closes it when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("the script says to close the connection")]
struct Closed;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let path = head.uri.path().to_owned();
    let mut reply = state.next(&path);
    let count = {
        let mut received = lock(&state.received);
        received.push(Received {
            path,
            headers: head.headers,
            body,
            at: Instant::now(),
        });
        received.len()
    };
    state.count.send_replace(count);
    while let Reply::After(wait, then) = reply {
        tokio::time::sleep(wait).await;
        reply = *then;
    }
    let (status, text) = match reply {
        Reply::Status(status) => (status, String::new()),
        Reply::Text(status, text) => (status, text),
        Reply::Redirect(to) => {
            let mut response = respond(302, String::new());
            response
                .headers_mut()
                .insert(header::LOCATION, to.parse().expect("a place to redirect to is visible text"));
            return Ok(response);
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close | Reply::After(..) => return Err(Closed),
        Reply::Flood => return Ok(Response::new(Flood.boxed_unsync())),
    };
    Ok(respond(status, text))
}

fn respond(status: u16, text: String) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).expect("a script has statuses from 100 to 999");
    response
}

impl State {
    fn next(&self, path: &str) -> Reply {
        let mut scripts = lock(&self.scripts);
        match scripts.get_mut(path) {
            Some(replies) if replies.len() > 1 => replies.pop_front().expect("there are two"),
            Some(replies) => replies.front().cloned().unwrap_or(Reply::Status(200)),
            None => Reply::Status(200),
        }
    }
}

struct Flood;

impl Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(FLOOD_BYTES)))))
    }
}
