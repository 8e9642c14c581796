//! The claimer: brings events from the table to the routing threads.
//!
//! It searches at start, when a postponed event falls due, when there is room again for what found none, when the
//! configuration or a version changes, and now and then besides, because another process may have put events there. It
//! steps from sender to sender and takes a share of each at a time, so a million events of one do not come before those
//! of the others (D4); where it has to stop for want of room, the next search goes on.
//!
//! Held events need no release: a held row says under which revision it was held, and a sender that has changed since,
//! in its own row or its plugin's, has its held rows claimed like pending ones. So a change writes nothing, however many
//! events it sets free, and they come in the order of their acceptance, at the pace at which they are routed.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use hookyard_domain::{EventId, Scope, SenderId, Timestamp, failure::FailurePolicy};
use tokio::time::Instant;

use super::{
    Inner, Route,
    breakers::Standing,
    holding::{Loaded, releases_below},
    queue::{Owner, Queued, Room, Wake},
};
use crate::{
    installed::Slot,
    store::{Error, Search},
};

/// How often held events are searched for while neither configuration nor versions change: some may have been held by
/// another node, or by this one in the moment of the change.
const SEARCH_HELD_EVERY: Duration = Duration::from_secs(1);
/// Events per claim, and what a sender gets before it is the next one's turn. Their payloads come along, which the store
/// bounds in bytes.
const CLAIM_MAX: usize = 128;
/// Longest search. While a backlog is routed as fast as it is claimed a search would go on and on, and not see what has
/// come for others.
const SEARCH_MAX: Duration = Duration::from_millis(100);
/// Rest between two searches: under load every commit may ask for one.
const REST: Duration = Duration::from_millis(5);
/// And at least so many times as long as it took to find out who has events: a thousand senders with a backlog are a
/// thousand steps through an index.
const REST_PER_READING: u32 = 4;
/// And never longer than this.
const REST_MAX: Duration = Duration::from_secs(1);
/// Pause after the store failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

pub(super) async fn run(route: Route) {
    let mut claimer = Claimer {
        route: route.clone(),
        last: None,
        held_searched: None,
        deleted: HashSet::new(),
        reading: Duration::ZERO,
    };
    let search_every = route.0.parts.search_every;
    while !route.is_closing() {
        route.0.parts.metrics.pulses.routing.beat();
        let pause = match claimer.search().await {
            Ok(next) => next.since(route.0.parts.clock.now()).min(search_every),
            Err(Error::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot search for events to route");
                PAUSE_AFTER_FAILURE
            }
        };
        let rest = (claimer.reading * REST_PER_READING).clamp(REST, REST_MAX);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = route.0.closing.cancelled() => {}
        }
        tokio::select! {
            () = route.0.search.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = route.0.closing.cancelled() => {}
        }
    }
}

struct Claimer {
    route: Route,
    /// Who was served last: the next search begins after it.
    last: Option<SenderId>,
    /// When held events were last searched for to the end, and under which revision of the configuration.
    held_searched: Option<(Instant, i64)>,
    /// Senders that have events and were found to be deleted: nobody else could ever decide about these.
    deleted: HashSet<SenderId>,
    /// How long the last search took to find out who has events.
    reading: Duration,
}

/// A sender with events to claim.
struct Wanted {
    sender: SenderId,
    /// Held events from before this revision are claimed too.
    held_below: i64,
}

/// What one claim for a sender came to.
enum Claimed {
    /// There may be more.
    Some,
    All,
    /// No room; the queue calls when there is.
    NoRoom,
    /// Its plugin is left alone until then.
    NotBefore(Timestamp),
}

impl Claimer {
    /// Claims all there is room for; answers when to search again at the latest.
    async fn search(&mut self) -> Result<Timestamp, Error> {
        let parts = &self.route.0.parts;
        let now = parts.clock.now();
        self.route.0.failures.tell_rest(now);
        if parts.store.doubts().events.search() == Search::Now {
            self.release_strays().await?;
        }
        let mut next = now.plus(parts.search_every);
        let began = Instant::now();
        let mut wanted = self.wanted(now, &mut next).await?;
        self.reading = began.elapsed();
        while let Some(one) = wanted.pop_front() {
            if self.route.is_closing() {
                break;
            }
            if began.elapsed() > SEARCH_MAX {
                self.held_searched = None;
                return Ok(now);
            }
            let claimed = match self.claim(&one).await {
                Ok(claimed) => claimed,
                Err(error) if error.is_passing() || matches!(error, Error::Closed) => return Err(error),
                Err(error) => {
                    // Something is wrong with a row of this sender; the others' events go on.
                    tracing::error!(sender = %one.sender, %error, "cannot claim events");
                    continue;
                }
            };
            match claimed {
                Claimed::All => {}
                Claimed::Some => wanted.push_back(one),
                Claimed::NotBefore(until) => next = next.min(until),
                // Not to the end: the next search looks for held events again.
                Claimed::NoRoom => self.held_searched = None,
            }
        }
        Ok(next)
    }

    /// Senders with events that may be routed now, beginning after the one that was served last.
    async fn wanted(&mut self, now: Timestamp, next: &mut Timestamp) -> Result<VecDeque<Wanted>, Error> {
        let parts = &self.route.0.parts;
        let mut below: BTreeMap<SenderId, i64> = BTreeMap::new();
        for (sender, due_at) in parts.store.senders_with_pending().await? {
            if due_at > now {
                *next = (*next).min(due_at);
            } else {
                below.insert(sender, i64::MIN);
            }
        }
        let revision = parts.configuration.current().revision;
        let searched = self
            .held_searched
            .is_some_and(|(at, under)| under == revision && at.elapsed() < SEARCH_HELD_EVERY);
        if !searched {
            let held = parts.store.senders_with_held().await?;
            self.held_searched = Some((Instant::now(), revision));
            for (sender, lowest) in held {
                if let Some(revision) = self.releases_below(sender).filter(|revision| lowest < *revision) {
                    below.insert(sender, revision);
                } else if self.is_deleted(sender).await? {
                    below.insert(sender, i64::MAX);
                }
            }
        }
        for sender in below.keys() {
            self.is_deleted(*sender).await?;
        }
        let mut wanted: VecDeque<Wanted> = below
            .into_iter()
            .map(|(sender, held_below)| Wanted { sender, held_below })
            .collect();
        let first = wanted.partition_point(|one| self.last.is_some_and(|last| one.sender <= last));
        wanted.rotate_left(first);
        Ok(wanted)
    }

    /// Whether a sender that the snapshot does not know was deleted, rather than not heard of yet.
    async fn is_deleted(&mut self, sender: SenderId) -> Result<bool, Error> {
        let parts = &self.route.0.parts;
        if self.deleted.contains(&sender) {
            return Ok(true);
        }
        if parts.configuration.current().senders.contains_key(&sender) {
            return Ok(false);
        }
        let is_gone = match parts.store.sender_row(Scope::Operator, sender).await {
            Ok(row) => row.is_none(),
            // A row that cannot be read is set aside; its events wait until it can be.
            Err(Error::Corrupt { .. }) => false,
            Err(error) => return Err(error),
        };
        if is_gone {
            self.deleted.insert(sender);
        }
        Ok(is_gone)
    }

    fn releases_below(&self, sender: SenderId) -> Option<i64> {
        let parts = &self.route.0.parts;
        let snapshot = parts.configuration.current();
        let sender = snapshot.senders.get(&sender)?;
        let slot = sender
            .plugin
            .as_deref()
            .and_then(|plugin| parts.installed.get(sender.tenant_id, plugin));
        releases_below(&snapshot, sender, Loaded::from(slot.as_ref()))
    }

    /// One sender's share.
    async fn claim(&mut self, one: &Wanted) -> Result<Claimed, Error> {
        let (route, sender) = (self.route.clone(), one.sender);
        let parts = &route.0.parts;
        let now = parts.clock.now();
        let (owner, standing) = if self.deleted.contains(&sender) {
            (Owner::Deleted, Standing::Runs)
        } else {
            let Some(standing) = self.standing(sender, now) else {
                return Ok(Claimed::All);
            };
            (Owner::Sender, standing)
        };
        if let Standing::Stopped { until } = standing {
            return Ok(Claimed::NotBefore(until));
        }
        let places = {
            let mut queue = route.queue();
            if standing == Standing::Runs && queue.resume(sender) == Wake::Claimer {
                tracing::debug!(%sender, "a plugin that was left alone has been replaced");
            }
            match queue.room(sender) {
                Room::Full => {
                    queue.leave(sender);
                    return Ok(Claimed::NoRoom);
                }
                // The rest would only be given back.
                Room::Places(_) if standing == Standing::Probes => 1,
                Room::Places(places) => places.min(CLAIM_MAX),
            }
        };
        let claimed = parts.store.claim_events(sender, now, one.held_below, places as u32).await?;
        self.last = Some(sender);
        // Fewer than asked for may still not be all: the store bounds a claim in bytes too. Of a probe the end calls again.
        let outcome = match claimed.len() {
            0 => Claimed::All,
            _ if standing == Standing::Probes => Claimed::All,
            _ => Claimed::Some,
        };
        for held in claimed {
            route.queue().take(sender, held.event.id, held.event.payload.len());
            let queued = Queued { held, owner, overruns: 0 };
            route.enqueue(sender, queued);
        }
        Ok(outcome)
    }

    /// Whether a sender's events may be routed here at all. None: this node does not know the sender yet.
    fn standing(&self, sender: SenderId, now: Timestamp) -> Option<Standing> {
        let Inner { parts, breakers, .. } = &*self.route.0;
        let snapshot = parts.configuration.current();
        let sender = snapshot.senders.get(&sender)?;
        let Some(plugin) = &sender.plugin else {
            return Some(Standing::Runs);
        };
        match parts.installed.get(sender.tenant_id, plugin) {
            None if snapshot.plugin(sender.tenant_id, plugin).is_some() => None,
            Some(Slot::Ready(active)) if sender.failure_policy == FailurePolicy::Hold => {
                Some(breakers.standing(sender.id, active.module.hash(), now))
            }
            _ => Some(Standing::Runs),
        }
    }

    /// After a commit of unknown outcome: gives back what the table says is ours and the queue does not hold. As for
    /// deliveries, only this task claims, and every other lease takes its place before it is committed.
    async fn release_strays(&self) -> Result<(), Error> {
        let store = &self.route.0.parts.store;
        let doubt = &store.doubts().events;
        let leased: Vec<EventId> = store.leased_events().await.inspect_err(|_| doubt.raise())?;
        let strays: Vec<_> = leased.into_iter().filter(|event| !self.route.queue().holds(*event)).collect();
        store.release_events(&strays).await.inspect_err(|_| doubt.raise())?;
        if !strays.is_empty() {
            tracing::info!(events = strays.len(), "gave back events of a commit whose outcome was unknown");
        }
        Ok(())
    }
}
