-- A node's row is updated every few seconds and moves no indexed column: with room on its page each update stays
-- there (heap-only tuple) and leaves no index entry behind.
ALTER TABLE node SET (fillfactor = 50);
