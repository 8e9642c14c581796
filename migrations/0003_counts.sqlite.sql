-- What keeps event_count and fan_out on SQLite, where a condition is 1 or 0 and there is one writer, so one slot.
--
-- An event is pending when it is accepted, and stays so through routing and the writing of its deliveries: on the way of
-- an event that is delivered at once, two of these run.

CREATE TRIGGER event_accepted AFTER INSERT ON event BEGIN
    INSERT INTO event_count (tenant_id, slot, accepted, pending) VALUES (NEW.tenant_id, 0, 1, 1)
    ON CONFLICT (tenant_id, slot) DO UPDATE SET accepted = accepted + 1, pending = pending + 1;
END;
CREATE TRIGGER event_deleted AFTER DELETE ON event BEGIN
    UPDATE event_count SET accepted = accepted - 1 WHERE tenant_id = OLD.tenant_id AND slot = 0;
END;

CREATE TRIGGER event_dropped AFTER INSERT ON decision WHEN NEW.outcome = 'dropped' BEGIN
    UPDATE event_count SET pending = pending - 1, cancelled = cancelled + 1 WHERE tenant_id = NEW.tenant_id AND slot = 0;
END;
CREATE TRIGGER dropped_event_deleted AFTER DELETE ON decision WHEN OLD.outcome = 'dropped' BEGIN
    UPDATE event_count SET cancelled = cancelled - 1 WHERE tenant_id = OLD.tenant_id AND slot = 0;
END;

-- A held event counts as a pending one.
CREATE TRIGGER event_dead_lettered AFTER UPDATE OF state ON route_work
WHEN (OLD.state = 'dead-lettered') <> (NEW.state = 'dead-lettered') BEGIN
    UPDATE event_count SET
        pending = pending - (NEW.state = 'dead-lettered') + (OLD.state = 'dead-lettered'),
        exhausted = exhausted + (NEW.state = 'dead-lettered') - (OLD.state = 'dead-lettered')
    WHERE tenant_id = NEW.tenant_id AND slot = 0;
END;
CREATE TRIGGER dead_lettered_event_deleted AFTER DELETE ON route_work WHEN OLD.state = 'dead-lettered' BEGIN
    UPDATE event_count SET exhausted = exhausted - 1 WHERE tenant_id = OLD.tenant_id AND slot = 0;
END;

-- The state of an event with one delivery is that delivery's.
CREATE TRIGGER only_delivery_changed AFTER UPDATE OF state, attempts, attempts_before ON delivery_work WHEN NEW.siblings = 0 BEGIN
    UPDATE event_count SET
        pending = pending + (NEW.state = 'waiting' AND NEW.attempts = NEW.attempts_before) - (OLD.state = 'waiting' AND OLD.attempts = OLD.attempts_before),
        retrying = retrying + (NEW.state = 'waiting' AND NEW.attempts > NEW.attempts_before) - (OLD.state = 'waiting' AND OLD.attempts > OLD.attempts_before),
        exhausted = exhausted + (NEW.state = 'exhausted') - (OLD.state = 'exhausted'),
        rejected = rejected + (NEW.state = 'rejected') - (OLD.state = 'rejected'),
        cancelled = cancelled + (NEW.state = 'cancelled') - (OLD.state = 'cancelled')
    WHERE tenant_id = NEW.tenant_id AND slot = 0;
END;
CREATE TRIGGER only_delivery_finished AFTER DELETE ON delivery_work WHEN OLD.siblings = 0 BEGIN
    UPDATE event_count SET
        pending = pending - (OLD.state = 'waiting' AND OLD.attempts = OLD.attempts_before),
        retrying = retrying - (OLD.state = 'waiting' AND OLD.attempts > OLD.attempts_before),
        exhausted = exhausted - (OLD.state = 'exhausted'),
        rejected = rejected - (OLD.state = 'rejected'),
        cancelled = cancelled - (OLD.state = 'cancelled')
    WHERE tenant_id = OLD.tenant_id AND slot = 0;
END;

-- One of several changes the numbers of its event, and these the event's state.
CREATE TRIGGER delivery_changed AFTER UPDATE OF state, attempts, attempts_before ON delivery_work WHEN NEW.siblings = 1 BEGIN
    UPDATE fan_out SET
        fresh = fresh + (NEW.state = 'waiting' AND NEW.attempts = NEW.attempts_before) - (OLD.state = 'waiting' AND OLD.attempts = OLD.attempts_before),
        retrying = retrying + (NEW.state = 'waiting' AND NEW.attempts > NEW.attempts_before) - (OLD.state = 'waiting' AND OLD.attempts > OLD.attempts_before),
        exhausted = exhausted + (NEW.state = 'exhausted') - (OLD.state = 'exhausted'),
        rejected = rejected + (NEW.state = 'rejected') - (OLD.state = 'rejected'),
        cancelled = cancelled + (NEW.state = 'cancelled') - (OLD.state = 'cancelled')
    WHERE event_id = (SELECT event_id FROM delivery WHERE id = NEW.delivery_id);
END;
CREATE TRIGGER delivery_finished AFTER DELETE ON delivery_work WHEN OLD.siblings = 1 BEGIN
    UPDATE fan_out SET
        delivered = delivered + 1,
        fresh = fresh - (OLD.state = 'waiting' AND OLD.attempts = OLD.attempts_before),
        retrying = retrying - (OLD.state = 'waiting' AND OLD.attempts > OLD.attempts_before),
        exhausted = exhausted - (OLD.state = 'exhausted'),
        rejected = rejected - (OLD.state = 'rejected'),
        cancelled = cancelled - (OLD.state = 'cancelled')
    WHERE event_id = (SELECT event_id FROM delivery WHERE id = OLD.delivery_id);
END;
CREATE TRIGGER fan_out_changed AFTER UPDATE ON fan_out BEGIN
    UPDATE event_count SET
        pending = pending + (NEW.fresh > 0) - (OLD.fresh > 0),
        retrying = retrying + (NEW.fresh = 0 AND NEW.retrying > 0) - (OLD.fresh = 0 AND OLD.retrying > 0),
        exhausted = exhausted + (NEW.fresh + NEW.retrying = 0 AND NEW.exhausted > 0) - (OLD.fresh + OLD.retrying = 0 AND OLD.exhausted > 0),
        rejected = rejected + (NEW.fresh + NEW.retrying + NEW.exhausted = 0 AND NEW.rejected > 0) - (OLD.fresh + OLD.retrying + OLD.exhausted = 0 AND OLD.rejected > 0),
        cancelled = cancelled + (NEW.fresh + NEW.retrying + NEW.exhausted + NEW.rejected + NEW.delivered = 0 AND NEW.cancelled > 0) - (OLD.fresh + OLD.retrying + OLD.exhausted + OLD.rejected + OLD.delivered = 0 AND OLD.cancelled > 0)
    WHERE tenant_id = NEW.tenant_id AND slot = 0;
    DELETE FROM fan_out WHERE event_id = NEW.event_id
        AND NEW.delivered > 0 AND NEW.fresh + NEW.retrying + NEW.exhausted + NEW.rejected + NEW.cancelled = 0;
END;
CREATE TRIGGER fan_out_deleted AFTER DELETE ON fan_out BEGIN
    UPDATE event_count SET
        pending = pending - (OLD.fresh > 0),
        retrying = retrying - (OLD.fresh = 0 AND OLD.retrying > 0),
        exhausted = exhausted - (OLD.fresh + OLD.retrying = 0 AND OLD.exhausted > 0),
        rejected = rejected - (OLD.fresh + OLD.retrying + OLD.exhausted = 0 AND OLD.rejected > 0),
        cancelled = cancelled - (OLD.fresh + OLD.retrying + OLD.exhausted + OLD.rejected + OLD.delivered = 0 AND OLD.cancelled > 0)
    WHERE tenant_id = OLD.tenant_id AND slot = 0;
END;
