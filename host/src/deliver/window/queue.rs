//! What one endpoint has in the window, and the lines in which endpoints wait.

use std::collections::VecDeque;

use hookyard_domain::{EndpointId, Timestamp, breaker::Breaker};

use crate::{
    deliver::{sending::Share, share::Standing},
    store::HeldDelivery,
};

/// What one endpoint has in the window.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<HeldDelivery>,
    /// Bytes of the waiting bodies that are in memory.
    pub(super) body_bytes: usize,
    /// Places taken: reserved, waiting or in flight.
    pub(super) places: usize,
    /// There is more in the table than there were places for.
    pub(super) backlog: bool,
    pub(super) workers: usize,
    /// Workers that were started and have not taken a delivery yet.
    pub(super) starting: usize,
    pub(super) concurrency_max: usize,
    pub(super) line: InLine,
    /// For the large body at the head, once there is room for it.
    pub(super) share: Option<Share>,
    /// Attempts in flight that have lasted long.
    pub(super) slow_attempts: usize,
    /// How the last attempt to end had done.
    pub(super) last: Standing,
    pub(super) breaker: Option<Breaker>,
    /// When the endpoint was first left alone, without a success since.
    pub(super) blocked_since: Option<Timestamp>,
}

/// Where an endpoint stands in line, at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum InLine {
    #[default]
    No,
    ForWorker,
    ForBytes,
}

/// Endpoints in line, those of each standing by themselves.
#[derive(Default)]
pub(super) struct Lines([VecDeque<EndpointId>; 3]);

impl Lines {
    pub(super) fn of(&mut self, standing: Standing) -> &mut VecDeque<EndpointId> {
        &mut self.0[standing as usize]
    }

    pub(super) fn is_empty(&self, standing: Standing) -> bool {
        self.0[standing as usize].is_empty()
    }
}

impl Queue {
    pub(super) fn standing(&self) -> Standing {
        if self.slow_attempts > 0 { Standing::Slow } else { self.last }
    }

    pub(super) fn has_work_for_another_worker(&self) -> bool {
        self.waiting.len() > self.starting && self.workers < self.concurrency_max && self.line != InLine::ForBytes
    }
}
