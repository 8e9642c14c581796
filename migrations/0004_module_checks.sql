-- Modules that are being checked, and contents that need no further check.

-- A row for as long as a node checks or compiles a module: the rows of a node that is gone say what it died with.
CREATE TABLE module_check (
    hash BYTEA NOT NULL,
    node_id UUID NOT NULL,
    began_at BIGINT NOT NULL,
    PRIMARY KEY (hash, node_id)
) /*sqlite: WITHOUT ROWID */;

-- Contents that were refused, whoever brought them and under whatever name.
CREATE TABLE module_refusal (
    hash BYTEA PRIMARY KEY,
    -- A quarantined content was being checked when a server died; it is tried again when somebody asks for it.
    kind TEXT NOT NULL CONSTRAINT module_refusal_kind_is_known CHECK (kind IN ('refused', 'quarantined')),
    -- What judged it: another version of the program may judge differently.
    judge TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- NULL is for good.
    until_at BIGINT,
    refused_at BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX module_refusal_listed ON module_refusal (refused_at, hash);
