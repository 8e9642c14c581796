//! The listener: accepts connections, bounds them, and stops without cutting anybody off.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, body::Body, http::Request, response::Response};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer as _, Service, ServiceExt as _};

use super::{
    peer::Peer,
    rest::{Readers, read_to_its_end},
};

/// Open connections; the next one waits in the kernel's backlog.
const CONNECTIONS_MAX: usize = 8_192;
/// A request's head must arrive within this (slow-header attacks).
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause after `accept` failed for want of file handles.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// How long open requests may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// What answers requests, such as a router.
pub trait Serves: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static {}

impl<S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static> Serves for S {}

/// A listening server.
pub struct Server {
    address: SocketAddr,
    closing: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start<S: Serves>(listen: SocketAddr, service: S) -> std::io::Result<Self>
    where
        S::Future: Send,
    {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let task = tokio::spawn(serve(listener, service, closing.clone()));
        Ok(Self { address, closing, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening; open requests are answered first.
    pub async fn stop(self) {
        self.closing.cancel();
        drop(self.task.await);
    }
}

async fn serve<S: Serves>(listener: TcpListener, service: S, closing: CancellationToken)
where
    S::Future: Send,
{
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    // HTTP/1 alone: HTTP/2 without TLS is spoken by nobody who posts webhooks, and looking for its preface would give a
    // silent connection a place without a deadline.
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(true);
    let cut = CancellationToken::new();
    let connections = TaskTracker::new();
    let readers = Readers {
        tasks: connections.clone(),
        cut: cut.clone(),
    };
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let seat = Arc::clone(&seats).acquire_owned().await;
                (seat, listener.accept().await)
            } => accepted,
            () = closing.cancelled() => break,
        };
        let (Ok(seat), Ok((stream, peer))) = accepted else {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            continue;
        };
        // Answers are small and complete: waiting to coalesce them only adds delay.
        drop(stream.set_nodelay(true));
        let watcher = graceful.watcher();
        let readers = readers.clone();
        let connection = builder.serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(
                Extension(Peer(peer.ip()))
                    .layer(service.clone())
                    .map_request(move |request| read_to_its_end(request, &readers)),
            ),
        );
        let cut = cut.clone();
        connections.spawn(async move {
            tokio::select! {
                ended = watcher.watch(connection) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                () = cut.cancelled() => {}
            }
            drop(seat);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off");
    }
    cut.cancel();
    connections.close();
    connections.wait().await;
}
