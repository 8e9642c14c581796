//! The receiver: answers every delivery with an empty 200 and counts them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A listening receiver; it ends with the runtime.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<AtomicUsize>,
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
            received: Arc::default(),
        };
        let received = Arc::clone(&receiver.received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_nodelay(true));
                let received = Arc::clone(&received);
                tokio::spawn(http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| answer(request, Arc::clone(&received))),
                ));
            }
        });
        Ok(receiver)
    }

    /// How many deliveries have arrived whole, since it was started.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }
}

async fn answer(request: Request<Incoming>, received: Arc<AtomicUsize>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    received.fetch_add(1, Ordering::Relaxed);
    Ok::<_, Infallible>(Response::new(Empty::new())).map_err(|never| match never {})
}
