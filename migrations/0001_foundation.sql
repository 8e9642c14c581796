-- Foundation: tenants and what they configure, events, deliveries, attempts, plugins, nodes.
--
-- One text for SQLite and PostgreSQL. Ids are UUIDv7 (16-byte BLOBs in SQLite), times are Unix
-- microseconds, booleans do not exist, JSON is text. A CHECK is named as the sentence it holds.

-- One row: raised by every change of configuration, watched by every node.
CREATE TABLE configuration (
    singleton BIGINT PRIMARY KEY CONSTRAINT one_row_only CHECK (singleton = 1),
    revision BIGINT NOT NULL
);
INSERT INTO configuration (singleton, revision) VALUES (1, 1);

-- A running server. Its leases count while alive_until lies ahead.
CREATE TABLE node (
    id UUID PRIMARY KEY,
    started_at BIGINT NOT NULL,
    alive_until BIGINT NOT NULL
);

CREATE TABLE tenant (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    attempts_max BIGINT NOT NULL CONSTRAINT tenant_attempts_max_in_range CHECK (attempts_max BETWEEN 1 AND 100),
    breaker_block_s BIGINT NOT NULL CONSTRAINT breaker_block_is_positive CHECK (breaker_block_s >= 1),
    webhook_secret_sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE environment (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE api_key (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    key_hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    UNIQUE (tenant_id, name)
);

CREATE TABLE endpoint (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    environment_id UUID NOT NULL REFERENCES environment (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    status TEXT NOT NULL CONSTRAINT endpoint_status_is_known CHECK (status IN ('active', 'inactive', 'suspended')),
    profile TEXT NOT NULL,
    event_patterns TEXT NOT NULL,
    metadata TEXT NOT NULL,
    concurrency_max BIGINT NOT NULL CONSTRAINT concurrency_is_positive CHECK (concurrency_max >= 1),
    token_hash BYTEA UNIQUE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (environment_id, name)
);

CREATE TABLE plugin_module (
    hash BYTEA PRIMARY KEY,
    wasm BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- A named plugin of a tenant. A generation is one activation; a rollback is a new one.
CREATE TABLE plugin (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    active_hash BYTEA REFERENCES plugin_module (hash),
    generation BIGINT NOT NULL,
    refused_hash BYTEA,
    refused_reason TEXT,
    refused_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE plugin_activation (
    plugin_id UUID NOT NULL REFERENCES plugin (id),
    generation BIGINT NOT NULL,
    hash BYTEA NOT NULL REFERENCES plugin_module (hash),
    activated_at BIGINT NOT NULL,
    PRIMARY KEY (plugin_id, generation)
);

CREATE TABLE sender (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    environment_id UUID NOT NULL REFERENCES environment (id),
    name TEXT NOT NULL,
    token_hash BYTEA NOT NULL UNIQUE,
    status TEXT NOT NULL CONSTRAINT sender_status_is_known CHECK (status IN ('active', 'inactive')),
    plugin TEXT,
    config TEXT NOT NULL,
    failure_policy TEXT NOT NULL,
    event_type_header TEXT,
    exposed_headers TEXT NOT NULL,
    -- JSON list of endpoint names the sender may choose from; NULL is all of its environment.
    endpoints TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (environment_id, name)
);

-- From here on no REFERENCES: these rows are written by the thousand per second, each by the one
-- statement that also writes what it refers to, and a lookup per column and row buys nothing there.

-- One accepted payload, kept byte for byte. `lease` names the node that is routing it.
CREATE TABLE event (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    environment_id UUID NOT NULL,
    -- Exactly one of the two says which token the event came in by.
    sender_id UUID,
    endpoint_id UUID,
    idempotency_key TEXT,
    event_type TEXT NOT NULL,
    content_type TEXT NOT NULL,
    headers TEXT NOT NULL,
    payload BYTEA NOT NULL,
    accepted_at BIGINT NOT NULL,
    state TEXT NOT NULL CONSTRAINT event_state_is_known CHECK (state IN ('pending', 'routed', 'dropped', 'held', 'dead-lettered')),
    -- JSON: what decided, with what version, and why each endpoint was or was not chosen.
    decision TEXT,
    decided_at BIGINT,
    route_due_at BIGINT NOT NULL,
    route_failures BIGINT NOT NULL,
    lease UUID,
    CONSTRAINT came_by_exactly_one_token CHECK ((sender_id IS NULL) <> (endpoint_id IS NULL)),
    CONSTRAINT decided_at_iff_not_pending CHECK ((decided_at IS NULL) = (state = 'pending')),
    CONSTRAINT only_pending_events_are_leased CHECK (lease IS NULL OR state = 'pending')
);
CREATE UNIQUE INDEX event_idempotency ON event (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX event_waiting ON event (route_due_at) WHERE state = 'pending' AND lease IS NULL;
CREATE INDEX event_leased ON event (lease) WHERE lease IS NOT NULL;
CREATE INDEX event_held ON event (sender_id) WHERE state = 'held';

-- A payload a plugin made, shared by the deliveries of its event that point at it.
CREATE TABLE content (
    event_id UUID NOT NULL,
    ordinal BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (event_id, ordinal)
);

-- One event for one endpoint. `lease` names the node that has it in memory.
CREATE TABLE delivery (
    id UUID PRIMARY KEY,
    event_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    -- NULL is the event's payload as received.
    content BIGINT,
    headers TEXT,
    state TEXT NOT NULL CONSTRAINT delivery_state_is_known CHECK (state IN ('waiting', 'delivered', 'rejected', 'exhausted', 'cancelled')),
    attempts BIGINT NOT NULL CONSTRAINT attempts_are_not_negative CHECK (attempts >= 0),
    -- attempts, counted since the last replay, at which the delivery gives up
    attempts_max BIGINT NOT NULL,
    -- attempts made before the last replay
    attempts_before BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    completed_at BIGINT,
    lease UUID,
    CONSTRAINT completed_at_iff_not_waiting CHECK ((completed_at IS NULL) = (state = 'waiting')),
    CONSTRAINT only_waiting_deliveries_are_leased CHECK (lease IS NULL OR state = 'waiting')
);
CREATE UNIQUE INDEX delivery_of_event ON delivery (event_id, endpoint_id);
CREATE INDEX delivery_waiting ON delivery (endpoint_id, due_at) WHERE completed_at IS NULL AND lease IS NULL;
CREATE INDEX delivery_leased ON delivery (lease) WHERE lease IS NOT NULL;

CREATE TABLE attempt (
    delivery_id UUID NOT NULL,
    number BIGINT NOT NULL CONSTRAINT attempts_number_from_one CHECK (number >= 1),
    started_at BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    status BIGINT,
    error TEXT,
    error_detail TEXT,
    response BYTEA,
    PRIMARY KEY (delivery_id, number),
    CONSTRAINT answered_or_failed CHECK ((status IS NULL) <> (error IS NULL))
);
