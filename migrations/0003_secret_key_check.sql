-- A known text sealed with the key that the database's secrets are sealed with, so that a process with another key is
-- told at its start. None until the first process that brings a key.
ALTER TABLE configuration ADD COLUMN key_check BYTEA;
