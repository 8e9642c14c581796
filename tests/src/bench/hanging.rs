//! A receiver that takes every connection and never answers, never even reads.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use tokio::net::TcpListener;

/// As many attempts as the server makes at once have come when none has been added for so long.
const STILL_FOR: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The first attempt comes within this.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// A listening receiver; it ends with the runtime.
#[derive(Debug)]
pub struct Hanging {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Hanging {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        tokio::spawn(async move {
            // Kept, for a dropped one is closed, which is an answer of a kind.
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                kept.push(stream);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { address, taken })
    }

    /// Waits until the server has as many attempts hanging here as it makes at once, and says how many.
    ///
    /// # Errors
    /// There is none after ten seconds.
    pub async fn full(&self) -> anyhow::Result<usize> {
        let (mut seen, mut still, mut waited) = (0, Duration::ZERO, Duration::ZERO);
        while seen == 0 || still < STILL_FOR {
            tokio::time::sleep(LOOK_EVERY).await;
            let taken = self.taken.load(Ordering::Relaxed);
            still = if taken == seen { still + LOOK_EVERY } else { Duration::ZERO };
            seen = taken;
            waited += LOOK_EVERY;
            ensure!(seen > 0 || waited < FIRST_WITHIN, "no attempt came to the hanging endpoints");
        }
        Ok(seen)
    }
}
