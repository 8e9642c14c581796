-- A node's row is updated every few seconds and moves no indexed column: with room on its page each update stays
-- there (heap-only tuple) and leaves no index entry behind.
ALTER TABLE node SET (fillfactor = 50);
-- Work tables are as small as the backlog and change with every event: vacuumed by count, not by a share of their size, so
-- that the space of finished work is soon used again.
ALTER TABLE route_work SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE delivery_work SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1);
