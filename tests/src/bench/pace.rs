//! Posts at a fixed rate, whatever the server does: what a sender's users notice, where [`super::load`] shows what a
//! server can take.
//!
//! Post number i is due i intervals after the start, and is late from then on: a post that waits for the answer to a
//! former one counts its wait, so a server that stalls cannot hide it by being asked less often.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::load::Target;

/// Time between two posts over one connection: far above what an answer takes, so that posts hardly wait for each other.
const CONNECTION_REST: Duration = Duration::from_millis(80);
const CONNECTIONS_MAX: u32 = 256;

/// How fast, and how often at most.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub per_second: u32,
    pub posts_max: u32,
}

/// One post that was answered 202.
#[derive(Debug, Clone, Copy)]
pub struct Posted {
    pub number: u32,
    /// When it was sent, or when it was due where it had to wait for the answer to a former one.
    pub due: Instant,
    pub answered: Instant,
}

impl Posted {
    /// From the moment it was due to its whole answer.
    pub fn took(&self) -> Duration {
        self.answered.saturating_duration_since(self.due)
    }
}

/// Posts what `body` makes of each number, until all are posted or `stop` is cancelled. Ordered by number.
///
/// # Errors
/// A connection fails, or a post is not answered 202.
pub async fn post(
    target: &Target,
    pace: Pace,
    body: impl Fn(u32) -> Bytes + Send + Sync + 'static,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Posted>> {
    let interval = Duration::from_secs(1) / pace.per_second;
    let connections = (CONNECTION_REST.as_micros().div_ceil(interval.as_micros()) as u32).clamp(1, CONNECTIONS_MAX);
    let body = Arc::new(body);
    let all = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let mut opened = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(target.address).await.context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        opened.push(hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?);
    }
    let start = Instant::now() + interval;
    for (first, (mut sender, connection)) in (0..connections).zip(opened) {
        let (target, body, all, stop) = (target.clone(), Arc::clone(&body), Arc::clone(&all), stop.clone());
        tasks.spawn(async move {
            let posting = async {
                for number in (first..pace.posts_max).step_by(connections as usize) {
                    let due = start + interval * number;
                    let mut request = Request::post(target.path.clone()).body(Full::new(body(number)))?;
                    request.headers_mut().clone_from(&target.headers);
                    let due = if Instant::now() < due {
                        tokio::select! {
                            () = tokio::time::sleep_until(due.into()) => {}
                            () = stop.cancelled() => break,
                        }
                        // A timer is up to a millisecond late, which is not the server's fault.
                        Instant::now()
                    } else {
                        due
                    };
                    let response = sender.send_request(request).await.context("the server broke off")?;
                    let status = response.status().as_u16();
                    let mut answer = response.into_body();
                    while let Some(frame) = answer.frame().await {
                        frame.context("the server broke an answer off")?;
                    }
                    ensure!(status == 202, "post {number} was answered {status}");
                    let answered = Instant::now();
                    all.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(Posted { number, due, answered });
                }
                anyhow::Ok(())
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
        });
    }
    while let Some(posted) = tasks.join_next().await {
        posted.context("a connection's task panicked")??;
    }
    let mut posted = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    posted.sort_unstable_by_key(|posted| posted.number);
    Ok(posted)
}

/// The span that `percent` of the values do not exceed; zero of none.
pub fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get(last * percent / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_measured_value() {
        let mut values: Vec<_> = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut values, 50), Duration::from_millis(51));
        assert_eq!(percentile(&mut values, 99), Duration::from_millis(100));
        assert_eq!(percentile(&mut values, 100), Duration::from_millis(101));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }
}
