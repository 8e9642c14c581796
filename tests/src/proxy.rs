//! A wire that can be cut: a TCP proxy in front of PostgreSQL.
//!
//! It knows nothing of the protocol. Cut, it closes every connection and every new one at once, like a server that went
//! away; stalled, it keeps connections and moves no byte, like a network that swallows packets.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// Where PostgreSQL listens unless its URL says otherwise.
const PORT_DEFAULT: u16 = 5432;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Whole,
    Stalled,
    Cut,
}

/// A listening proxy; it ends, and its connections with it, when dropped.
pub struct Proxy {
    address: SocketAddr,
    upstream: Url,
    wire: watch::Sender<Wire>,
    _listening: DropGuard,
}

impl Proxy {
    /// Listens on a port of its own and forwards to the server that `url` (`postgres://…`) names.
    ///
    /// # Panics
    /// When the URL names no server or loopback has no free port.
    pub async fn before(url: &str) -> Self {
        let upstream = Url::parse(url).expect("the database has a URL");
        let host = upstream.host_str().expect("the URL names a host").to_owned();
        let port = upstream.port().unwrap_or(PORT_DEFAULT);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (wire, state) = watch::channel(Wire::Whole);
        let closing = CancellationToken::new();
        let connections = closing.clone();
        tokio::spawn(closing.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let carried = carry(stream, (host.clone(), port), state.clone());
                tokio::spawn(connections.clone().run_until_cancelled_owned(carried));
            }
        }));
        Self {
            address,
            upstream,
            wire,
            _listening: closing.drop_guard(),
        }
    }

    /// The database's URL by way of this proxy.
    ///
    /// # Panics
    /// Never: a URL with a host takes another.
    pub fn url(&self) -> String {
        let mut url = self.upstream.clone();
        url.set_ip_host(self.address.ip()).expect("the URL has a host");
        url.set_port(Some(self.address.port())).expect("the URL has a host");
        url.into()
    }

    /// Closes all connections, and every new one.
    pub fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    /// Keeps connections open and moves no byte.
    pub fn stall(&self) {
        self.wire.send_replace(Wire::Stalled);
    }

    /// Lets bytes pass again.
    pub fn restore(&self) {
        self.wire.send_replace(Wire::Whole);
    }
}

async fn carry(client: TcpStream, upstream: (String, u16), wire: watch::Receiver<Wire>) {
    if *wire.borrow() == Wire::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    // Small messages go both ways in turn: waiting to coalesce them would slow every query.
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, wire.clone()) => {}
        () = pump(from_server, to_client, wire) => {}
    }
}

/// Moves bytes one way until either end closes or the wire is cut.
async fn pump(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut wire: watch::Receiver<Wire>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            _ = wire.wait_for(|wire| *wire == Wire::Cut) => return,
        };
        let whole = wire
            .wait_for(|wire| *wire != Wire::Stalled)
            .await
            .is_ok_and(|wire| *wire == Wire::Whole);
        if read == 0 || !whole || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
