//! The load generator: a fixed number of posts over a fixed number of connections.
//!
//! One task per connection, a bare hyper connection each, the next post as soon as the former is answered. It shares
//! the machine with what it measures, so it does as little as it can: no client pool, no histogram; a latency is one
//! number in a list that is sorted afterwards.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// A whole burst ends within this, or the row has failed.
const BURST_DEADLINE: Duration = Duration::from_secs(120);

/// What is posted, and where.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub path: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// How a burst went.
#[derive(Debug)]
pub struct Burst {
    pub elapsed: Duration,
    /// Microseconds from writing a request to its whole answer, ascending.
    pub latencies_us: Vec<u32>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
}

impl Burst {
    /// The latency that `percent` of the posts did not exceed, in microseconds; 0 for an empty burst.
    pub fn percentile_us(&self, percent: usize) -> u32 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get(last * percent / 100).copied().unwrap_or(0)
    }
}

/// Posts `count` times over `connections` connections.
///
/// # Errors
/// A connection fails, or the burst does not end within two minutes.
pub async fn fire(target: &Target, connections: usize, count: usize) -> anyhow::Result<Burst> {
    let left = Arc::new(AtomicUsize::new(count));
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(target.address).await.context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        opened.push(hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (sender, connection) in opened {
        tasks.spawn(post_until_done(
            sender,
            connection,
            target.clone(),
            Arc::clone(&left),
            count / connections * 2,
        ));
    }
    let all = async {
        let (mut latencies_us, mut statuses) = (Vec::with_capacity(count), BTreeMap::new());
        while let Some(posted) = tasks.join_next().await {
            let (latencies, answers) = posted.context("a connection's task panicked")??;
            latencies_us.extend(latencies);
            for (status, times) in answers {
                *statuses.entry(status).or_default() += times;
            }
        }
        anyhow::Ok((latencies_us, statuses))
    };
    let (mut latencies_us, statuses) = tokio::time::timeout(BURST_DEADLINE, all)
        .await
        .context("the burst did not end in time")??;
    let elapsed = begun.elapsed();
    latencies_us.sort_unstable();
    Ok(Burst {
        elapsed,
        latencies_us,
        statuses,
    })
}

type Posted = (Vec<u32>, BTreeMap<u16, usize>);

async fn post_until_done(
    mut sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    connection: hyper::client::conn::http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
    target: Target,
    left: Arc<AtomicUsize>,
    room: usize,
) -> anyhow::Result<Posted> {
    let posting = async {
        let (mut latencies_us, mut statuses) = (Vec::with_capacity(room), BTreeMap::new());
        while take_one(&left) {
            let mut request = Request::post(target.path.clone()).body(Full::new(target.body.clone()))?;
            request.headers_mut().clone_from(&target.headers);
            let begun = Instant::now();
            let response = sender.send_request(request).await.context("the server broke off")?;
            *statuses.entry(response.status().as_u16()).or_default() += 1;
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                frame.context("the server broke an answer off")?;
            }
            latencies_us.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        anyhow::Ok((latencies_us, statuses))
    };
    // The connection is driven in the same task: no wake-up of another one per request.
    let mut connection = std::pin::pin!(connection);
    let mut posting = std::pin::pin!(posting);
    tokio::select! {
        posted = &mut posting => posted,
        ended = &mut connection => {
            ended.context("the connection failed")?;
            posting.await
        }
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
}
