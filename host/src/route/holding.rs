//! Under which revision an event is held, and when that lets it go.
//!
//! A held row carries one number, `held_under`, and the claimer claims it once its sender's route revision (that of the
//! sender's row or its plugin's activation, whichever is later) is above. So releasing writes nothing. It also makes the
//! moment of a change harmless: an event that one node holds by a configuration that another has just replaced carries
//! the older number, and is routed again by whoever looks next.

use hookyard_domain::failure::FailurePolicy;

use crate::{
    configuration::{Sender, Snapshot},
    installed::Slot,
};

/// What this node has of a sender's plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// The version of this activation.
    Ready { generation: u32 },
    /// The active version does not load here.
    Unloadable,
    /// Nothing, so far.
    Nothing,
}

impl From<Option<&Slot>> for Loaded {
    fn from(slot: Option<&Slot>) -> Self {
        match slot {
            Some(Slot::Ready(active)) => Self::Ready {
                generation: active.generation,
            },
            Some(Slot::Unloadable { .. }) => Self::Unloadable,
            None => Self::Nothing,
        }
    }
}

/// The newest revision up to which the configuration that decides is known to be in force.
///
/// A snapshot holds sender and plugin as of its own revision, so what both decide is in force up to there. A version
/// that came after the snapshot only makes that too low, and an event is routed once more than needed. Where this node
/// still runs the version before the one the snapshot names, or cannot load that one, the event waits for exactly that
/// version although the snapshot knows it: the revision just before its activation.
pub fn held_under(snapshot: &Snapshot, sender: &Sender, loaded: Loaded) -> i64 {
    let named = sender
        .plugin
        .as_deref()
        .and_then(|plugin| snapshot.plugin(sender.tenant_id, plugin));
    match (loaded, named) {
        (_, None) | (Loaded::Nothing, _) => snapshot.revision,
        (Loaded::Ready { generation }, Some(named)) if generation >= named.generation => snapshot.revision,
        (Loaded::Ready { .. } | Loaded::Unloadable, Some(named)) => snapshot.revision.min(named.revision - 1),
    }
}

/// The revision below which held events of a sender are routed again by this node. None: it would only hold them again.
pub fn releases_below(snapshot: &Snapshot, sender: &Sender, loaded: Loaded) -> Option<i64> {
    let revision = snapshot.route_revision(sender);
    let Some(plugin) = sender.plugin.as_deref() else {
        return Some(revision);
    };
    let named = snapshot.plugin(sender.tenant_id, plugin).map_or(0, |named| named.generation);
    let decides = match loaded {
        Loaded::Ready { generation } => generation >= named,
        // Without a version that runs only another policy makes a difference.
        Loaded::Unloadable | Loaded::Nothing => sender.failure_policy != FailurePolicy::Hold,
    };
    decides.then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruling::samples::Sample;

    /// Whether an event held by one state of a node is routed again by another.
    fn released(held: (&Sample, Loaded), by: (&Sample, Loaded)) -> bool {
        let under = held_under(&held.0.snapshot(), &held.0.sender(), held.1);
        releases_below(&by.0.snapshot(), &by.0.sender(), by.1).is_some_and(|below| under < below)
    }

    fn ready(generation: u32) -> Loaded {
        Loaded::Ready { generation }
    }

    #[test]
    fn an_event_stays_held_while_neither_sender_nor_plugin_changes() {
        let before = Sample::at(10).sender_at(3).plugin_at(2, 7);
        let elsewhere = Sample::at(20).sender_at(3).plugin_at(2, 7);
        assert!(!released((&before, ready(2)), (&before, ready(2))));
        assert!(!released((&before, ready(2)), (&elsewhere, ready(2))), "a change of something else");
    }

    #[test]
    fn a_change_of_the_sender_or_of_its_plugin_releases_it_whichever_has_the_higher_revision() {
        let before = Sample::at(10).sender_at(3).plugin_at(2, 7);
        assert!(released(
            (&before, ready(2)),
            (&Sample::at(11).sender_at(11).plugin_at(2, 7), ready(2))
        ));
        assert!(released(
            (&before, ready(2)),
            (&Sample::at(11).sender_at(3).plugin_at(3, 11), ready(3))
        ));
        let before = Sample::at(10).sender_at(9).plugin_at(2, 7);
        assert!(released(
            (&before, ready(2)),
            (&Sample::at(11).sender_at(9).plugin_at(3, 11), ready(3))
        ));
    }

    /// An event decided just as the version changed was held for a change that had happened, and stayed held.
    #[test]
    fn an_event_held_by_a_version_that_was_just_replaced_is_released() {
        let after = (&Sample::at(11).sender_at(9).plugin_at(3, 11), ready(3));
        let not_told_yet = Sample::at(10).sender_at(9).plugin_at(2, 7);
        assert!(released((&not_told_yet, ready(2)), after));
        let told_but_not_loaded = Sample::at(11).sender_at(9).plugin_at(3, 11);
        assert!(released((&told_but_not_loaded, ready(2)), after));
        // The sender's row is the newer one, so the higher of the two revisions is the same before and after.
        let sender_too = Sample::at(12).sender_at(12).plugin_at(3, 11);
        assert!(released((&sender_too, ready(2)), (&sender_too, ready(3))));
    }

    /// The other way round: the version is known here before the sender's new configuration is.
    #[test]
    fn an_event_held_by_a_senders_former_configuration_is_released() {
        let only_the_version = Sample::at(7).sender_at(3).plugin_at(2, 6);
        let both = (&Sample::at(9).sender_at(8).plugin_at(3, 9), ready(3));
        assert!(released((&only_the_version, ready(3)), both));
    }

    #[test]
    fn a_node_that_has_not_loaded_the_version_yet_releases_nothing() {
        let before = Sample::at(10).sender_at(3).plugin_at(2, 7);
        let after = Sample::at(11).sender_at(3).plugin_at(3, 11);
        assert!(!released((&before, ready(2)), (&after, ready(2))));
        assert!(!released((&before, ready(2)), (&after, Loaded::Nothing)));
    }

    #[test]
    fn an_event_held_where_the_version_does_not_load_is_released_where_it_does() {
        let sample = Sample::at(11).sender_at(3).plugin_at(3, 11);
        assert!(released((&sample, Loaded::Unloadable), (&sample, ready(3))));
        assert!(!released((&sample, Loaded::Unloadable), (&sample, Loaded::Unloadable)));
        let dead_letter = Sample::at(12).sender_at(12).plugin_at(3, 11).policy(FailurePolicy::DeadLetter);
        assert!(released((&sample, Loaded::Unloadable), (&dead_letter, Loaded::Unloadable)));
    }

    #[test]
    fn without_a_version_an_event_waits_for_the_first() {
        let none = Sample::at(10).sender_at(3);
        assert!(!released((&none, Loaded::Nothing), (&none, Loaded::Nothing)));
        assert!(released(
            (&none, Loaded::Nothing),
            (&Sample::at(11).sender_at(3).plugin_at(1, 11), ready(1))
        ));
    }

    #[test]
    fn a_sender_that_gave_up_its_plugin_releases_all_it_held() {
        let before = Sample::at(10).sender_at(3).plugin_at(2, 7);
        assert!(released(
            (&before, ready(2)),
            (&Sample::at(11).sender_at(11).without_plugin(), Loaded::Nothing)
        ));
    }
}
