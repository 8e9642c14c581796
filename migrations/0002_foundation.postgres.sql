-- A node's row is updated every few seconds and moves no indexed column: with room on its page each update stays
-- there (heap-only tuple) and leaves no index entry behind.
ALTER TABLE node SET (fillfactor = 50);
-- Work tables are as small as the backlog and change with every event: vacuumed by count, not by a share of their size, so
-- that the space of finished work is soon used again.
ALTER TABLE route_work SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE delivery_work SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1);

-- What keeps event_count and fan_out: after each statement, from all rows it changed at once. Transactions of one connection
-- come one after the other, so a slot by connection is seldom another's; within a statement rows are locked in the order of
-- tenants. An accepted event is counted by the statement that accepts it, and one that is deleted is to be by the statement that
-- deletes it: a table of the changed rows would hold the payloads.
-- Rows are found by their keys, as in the lanes' own statements, whatever the connection's settings.

CREATE FUNCTION count_dropped() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, pending, cancelled)
    SELECT tenant_id, pg_backend_pid() % 64, -COUNT(*), COUNT(*) FROM after WHERE outcome = 'dropped' GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET
        pending = event_count.pending + excluded.pending, cancelled = event_count.cancelled + excluded.cancelled;
    RETURN NULL;
END $$;
CREATE TRIGGER event_dropped AFTER INSERT ON decision
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION count_dropped();

CREATE FUNCTION count_dropped_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, cancelled)
    SELECT tenant_id, pg_backend_pid() % 64, -COUNT(*) FROM before WHERE outcome = 'dropped' GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET cancelled = event_count.cancelled + excluded.cancelled;
    RETURN NULL;
END $$;
CREATE TRIGGER dropped_event_deleted AFTER DELETE ON decision
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION count_dropped_deleted();

-- A held event counts as a pending one.
CREATE FUNCTION count_dead_lettered() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, pending, exhausted)
    SELECT tenant_id, pg_backend_pid() % 64, -SUM(step), SUM(step) FROM (
        SELECT tenant_id, 1 AS step FROM after WHERE state = 'dead-lettered'
        UNION ALL SELECT tenant_id, -1 FROM before WHERE state = 'dead-lettered') step_by_step
    GROUP BY tenant_id HAVING SUM(step) <> 0 ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET
        pending = event_count.pending + excluded.pending, exhausted = event_count.exhausted + excluded.exhausted;
    RETURN NULL;
END $$;
CREATE TRIGGER event_dead_lettered AFTER UPDATE ON route_work
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION count_dead_lettered();

CREATE FUNCTION count_dead_lettered_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, exhausted)
    SELECT tenant_id, pg_backend_pid() % 64, -COUNT(*) FROM before WHERE state = 'dead-lettered' GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET exhausted = event_count.exhausted + excluded.exhausted;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_lettered_event_deleted AFTER DELETE ON route_work
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION count_dead_lettered_deleted();

-- The state of an event with one delivery is that delivery's; one of several changes the numbers of its event, and these the
-- event's state.
CREATE FUNCTION count_deliveries_changed() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, pending, retrying, exhausted, rejected, cancelled)
    SELECT tenant_id, pg_backend_pid() % 64, pending, retrying, exhausted, rejected, cancelled FROM (
        SELECT tenant_id,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts = attempts_before), 0) AS pending,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts > attempts_before), 0) AS retrying,
            COALESCE(SUM(step) FILTER (WHERE state = 'exhausted'), 0) AS exhausted,
            COALESCE(SUM(step) FILTER (WHERE state = 'rejected'), 0) AS rejected,
            COALESCE(SUM(step) FILTER (WHERE state = 'cancelled'), 0) AS cancelled
        FROM (SELECT tenant_id, delivery_id, state, attempts, attempts_before, 1 AS step FROM after WHERE siblings = 0 UNION ALL SELECT tenant_id, delivery_id, state, attempts, attempts_before, -1 FROM before WHERE siblings = 0) step_by_step GROUP BY tenant_id) moved
    WHERE moved.pending <> 0 OR moved.retrying <> 0 OR moved.exhausted <> 0 OR moved.rejected <> 0 OR moved.cancelled <> 0
    ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET
        pending = event_count.pending + excluded.pending,
        retrying = event_count.retrying + excluded.retrying,
        exhausted = event_count.exhausted + excluded.exhausted,
        rejected = event_count.rejected + excluded.rejected,
        cancelled = event_count.cancelled + excluded.cancelled;
    IF EXISTS (SELECT 1 FROM after WHERE siblings = 1) THEN
    UPDATE fan_out SET
        fresh = fan_out.fresh + moved.fresh,
        retrying = fan_out.retrying + moved.retrying,
        exhausted = fan_out.exhausted + moved.exhausted,
        rejected = fan_out.rejected + moved.rejected,
        cancelled = fan_out.cancelled + moved.cancelled
    FROM (SELECT d.event_id,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts = attempts_before), 0) AS fresh,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts > attempts_before), 0) AS retrying,
            COALESCE(SUM(step) FILTER (WHERE state = 'exhausted'), 0) AS exhausted,
            COALESCE(SUM(step) FILTER (WHERE state = 'rejected'), 0) AS rejected,
            COALESCE(SUM(step) FILTER (WHERE state = 'cancelled'), 0) AS cancelled
        FROM (SELECT tenant_id, delivery_id, state, attempts, attempts_before, 1 AS step FROM after WHERE siblings = 1 UNION ALL SELECT tenant_id, delivery_id, state, attempts, attempts_before, -1 FROM before WHERE siblings = 1) step_by_step JOIN delivery d ON d.id = step_by_step.delivery_id
        GROUP BY d.event_id ORDER BY d.event_id) moved
    WHERE fan_out.event_id = moved.event_id AND (moved.fresh <> 0 OR moved.retrying <> 0 OR moved.exhausted <> 0 OR moved.rejected <> 0 OR moved.cancelled <> 0);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER delivery_changed AFTER UPDATE ON delivery_work
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION count_deliveries_changed();

CREATE FUNCTION count_deliveries_finished() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, pending, retrying, exhausted, rejected, cancelled)
    SELECT tenant_id, pg_backend_pid() % 64, pending, retrying, exhausted, rejected, cancelled FROM (
        SELECT tenant_id,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts = attempts_before), 0) AS pending,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts > attempts_before), 0) AS retrying,
            COALESCE(SUM(step) FILTER (WHERE state = 'exhausted'), 0) AS exhausted,
            COALESCE(SUM(step) FILTER (WHERE state = 'rejected'), 0) AS rejected,
            COALESCE(SUM(step) FILTER (WHERE state = 'cancelled'), 0) AS cancelled
        FROM (SELECT tenant_id, delivery_id, state, attempts, attempts_before, -1 AS step FROM before WHERE siblings = 0) step_by_step GROUP BY tenant_id) moved
    WHERE moved.pending <> 0 OR moved.retrying <> 0 OR moved.exhausted <> 0 OR moved.rejected <> 0 OR moved.cancelled <> 0
    ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET
        pending = event_count.pending + excluded.pending,
        retrying = event_count.retrying + excluded.retrying,
        exhausted = event_count.exhausted + excluded.exhausted,
        rejected = event_count.rejected + excluded.rejected,
        cancelled = event_count.cancelled + excluded.cancelled;
    IF EXISTS (SELECT 1 FROM before WHERE siblings = 1) THEN
    UPDATE fan_out SET
        delivered = fan_out.delivered + moved.gone,
        fresh = fan_out.fresh + moved.fresh,
        retrying = fan_out.retrying + moved.retrying,
        exhausted = fan_out.exhausted + moved.exhausted,
        rejected = fan_out.rejected + moved.rejected,
        cancelled = fan_out.cancelled + moved.cancelled
    FROM (SELECT d.event_id, COUNT(*) AS gone,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts = attempts_before), 0) AS fresh,
            COALESCE(SUM(step) FILTER (WHERE state = 'waiting' AND attempts > attempts_before), 0) AS retrying,
            COALESCE(SUM(step) FILTER (WHERE state = 'exhausted'), 0) AS exhausted,
            COALESCE(SUM(step) FILTER (WHERE state = 'rejected'), 0) AS rejected,
            COALESCE(SUM(step) FILTER (WHERE state = 'cancelled'), 0) AS cancelled
        FROM (SELECT tenant_id, delivery_id, state, attempts, attempts_before, -1 AS step FROM before WHERE siblings = 1) step_by_step JOIN delivery d ON d.id = step_by_step.delivery_id
        GROUP BY d.event_id ORDER BY d.event_id) moved
    WHERE fan_out.event_id = moved.event_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER delivery_finished AFTER DELETE ON delivery_work
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION count_deliveries_finished();

CREATE FUNCTION count_fan_outs_changed() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, pending, retrying, exhausted, rejected, cancelled)
    SELECT tenant_id, pg_backend_pid() % 64, pending, retrying, exhausted, rejected, cancelled FROM (
        SELECT tenant_id,
            COALESCE(SUM(step) FILTER (WHERE fresh > 0), 0) AS pending,
            COALESCE(SUM(step) FILTER (WHERE fresh = 0 AND retrying > 0), 0) AS retrying,
            COALESCE(SUM(step) FILTER (WHERE fresh + retrying = 0 AND exhausted > 0), 0) AS exhausted,
            COALESCE(SUM(step) FILTER (WHERE fresh + retrying + exhausted = 0 AND rejected > 0), 0) AS rejected,
            COALESCE(SUM(step) FILTER (WHERE fresh + retrying + exhausted + rejected + delivered = 0 AND cancelled > 0), 0) AS cancelled
        FROM (SELECT tenant_id, fresh, retrying, delivered, exhausted, rejected, cancelled, 1 AS step FROM after UNION ALL SELECT tenant_id, fresh, retrying, delivered, exhausted, rejected, cancelled, -1 FROM before) step_by_step GROUP BY tenant_id) moved
    WHERE moved.pending <> 0 OR moved.retrying <> 0 OR moved.exhausted <> 0 OR moved.rejected <> 0 OR moved.cancelled <> 0
    ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET
        pending = event_count.pending + excluded.pending,
        retrying = event_count.retrying + excluded.retrying,
        exhausted = event_count.exhausted + excluded.exhausted,
        rejected = event_count.rejected + excluded.rejected,
        cancelled = event_count.cancelled + excluded.cancelled;
    DELETE FROM fan_out USING after WHERE fan_out.event_id = after.event_id
        AND after.delivered > 0 AND after.fresh + after.retrying + after.exhausted + after.rejected + after.cancelled = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER fan_out_changed AFTER UPDATE ON fan_out
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION count_fan_outs_changed();

CREATE FUNCTION count_fan_outs_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO event_count (tenant_id, slot, pending, retrying, exhausted, rejected, cancelled)
    SELECT tenant_id, pg_backend_pid() % 64, pending, retrying, exhausted, rejected, cancelled FROM (
        SELECT tenant_id,
            COALESCE(SUM(step) FILTER (WHERE fresh > 0), 0) AS pending,
            COALESCE(SUM(step) FILTER (WHERE fresh = 0 AND retrying > 0), 0) AS retrying,
            COALESCE(SUM(step) FILTER (WHERE fresh + retrying = 0 AND exhausted > 0), 0) AS exhausted,
            COALESCE(SUM(step) FILTER (WHERE fresh + retrying + exhausted = 0 AND rejected > 0), 0) AS rejected,
            COALESCE(SUM(step) FILTER (WHERE fresh + retrying + exhausted + rejected + delivered = 0 AND cancelled > 0), 0) AS cancelled
        FROM (SELECT tenant_id, fresh, retrying, delivered, exhausted, rejected, cancelled, -1 AS step FROM before) step_by_step GROUP BY tenant_id) moved
    WHERE moved.pending <> 0 OR moved.retrying <> 0 OR moved.exhausted <> 0 OR moved.rejected <> 0 OR moved.cancelled <> 0
    ORDER BY tenant_id
    ON CONFLICT (tenant_id, slot) DO UPDATE SET
        pending = event_count.pending + excluded.pending,
        retrying = event_count.retrying + excluded.retrying,
        exhausted = event_count.exhausted + excluded.exhausted,
        rejected = event_count.rejected + excluded.rejected,
        cancelled = event_count.cancelled + excluded.cancelled;
    RETURN NULL;
END $$;
CREATE TRIGGER fan_out_deleted AFTER DELETE ON fan_out
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION count_fan_outs_deleted();

-- A few rows for each tenant, changed with every commit and in no indexed column.
ALTER TABLE event_count SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
