//! The receiver: answers every delivery with an empty 200, counts them, and notes when a numbered one arrives.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::payload;

/// A listening receiver; it ends with the runtime.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    received: AtomicUsize,
    /// By the number in the payload.
    arrivals: Mutex<Vec<(u32, Instant)>>,
}

impl Receiver {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let receiver = Self {
            address: listener.local_addr()?,
            seen: Arc::default(),
        };
        let seen = Arc::clone(&receiver.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_nodelay(true));
                let seen = Arc::clone(&seen);
                tokio::spawn(
                    http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(move |request| answer(request, Arc::clone(&seen)))),
                );
            }
        });
        Ok(receiver)
    }

    /// How many deliveries have arrived whole, since it was started.
    pub fn received(&self) -> usize {
        self.seen.received.load(Ordering::Relaxed)
    }

    /// The numbered deliveries that have arrived since this was last asked, and when.
    pub fn take_arrivals(&self) -> Vec<(u32, Instant)> {
        std::mem::take(&mut *self.seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let mut body = request.into_body();
    let mut number = None;
    let mut first = true;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data()
            && std::mem::take(&mut first)
        {
            number = payload::number_of(&data);
        }
    }
    seen.received.fetch_add(1, Ordering::Relaxed);
    if let Some(number) = number {
        let arrived = (number, Instant::now());
        seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrived);
    }
    Ok::<_, Infallible>(Response::new(Empty::new())).map_err(|never| match never {})
}
