//! Look-ups of names in flight: one for each name, however many attempts wait for it.
//!
//! The system's resolver blocks a thread until it has its answer and cannot be told to stop. A name whose servers are silent
//! would otherwise take a thread for each attempt, and soon all that there are, so that no other name could be resolved
//! (D4). An answer is shared by those who wait for it and then forgotten: nothing is cached here.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The addresses of a name, or what the system's resolver says went wrong.
pub(super) type Answer = Result<Vec<IpAddr>, String>;

type Waiting = watch::Receiver<Option<Answer>>;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct LookUps(Arc<Mutex<HashMap<String, Waiting>>>);

impl LookUps {
    /// The answer to a look-up that is in flight, or to a new one.
    pub(super) async fn of(&self, name: &str) -> Answer {
        let mut waiting = self.join(name);
        match waiting.wait_for(Option::is_some).await.map(|answer| answer.clone()) {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => Err("the look-up was broken off".to_owned()),
        }
    }

    fn join(&self, name: &str) -> Waiting {
        let mut in_flight = self.lock();
        if let Some(waiting) = in_flight.get(name) {
            return waiting.clone();
        }
        let (tell, waiting) = watch::channel(None);
        in_flight.insert(name.to_owned(), waiting.clone());
        // Nobody waits for its end: it goes on when those who asked have given up, for the thread is taken all the same.
        tokio::spawn(self.clone().look_up(name.to_owned(), tell));
        waiting
    }

    async fn look_up(self, name: String, tell: watch::Sender<Option<Answer>>) {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let answer = found
            .map(|addresses| addresses.map(|address| address.ip()).collect())
            .map_err(|error| error.to_string());
        self.lock().remove(&name);
        tell.send_replace(Some(answer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
