-- Foundation: configuration, facts, work.
--
-- One text for SQLite and PostgreSQL. Ids are UUIDv7 (16-byte BLOBs in SQLite), times are Unix microseconds, a yes or no
-- is 1 or 0, JSON is text. A CHECK is named as the sentence it holds, and names more than two words with OR: for a list of
-- them SQLite builds a temporary table at every insert, 2 us each. What is between `sqlite:` comment marks is read by SQLite
-- alone: WITHOUT ROWID keeps a row in its primary key's tree, which saves a second tree and its 26 bytes a row. Tables
-- with large rows do without it, because their tree would hold whole rows in its inner nodes.

-- Configuration ------------------------------------------------------------------------------------------------------
--
-- A row's revision is that of the whole configuration when the row last changed, so a node reads what is newer than what
-- it has. A deleted row stays, marked, for as long as facts name it.

-- One row: raised by every change of configuration, watched by every node.
CREATE TABLE configuration (
    singleton BIGINT PRIMARY KEY CONSTRAINT one_row_only CHECK (singleton = 1),
    revision BIGINT NOT NULL,
    -- A known text sealed with the key of the database's secrets, so that a process with another key is told at its
    -- start. NULL until the first process with a key.
    key_check BYTEA
);
INSERT INTO configuration (singleton, revision) VALUES (1, 1);

-- A running server. Its leases are valid until alive_until.
CREATE TABLE node (
    id UUID PRIMARY KEY,
    started_at BIGINT NOT NULL,
    alive_until BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE tenant (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    attempts_max BIGINT NOT NULL CONSTRAINT tenant_attempts_max_in_range CHECK (attempts_max BETWEEN 1 AND 100),
    breaker_block_s BIGINT NOT NULL CONSTRAINT breaker_block_is_positive CHECK (breaker_block_s >= 1),
    webhook_secret_sealed BYTEA NOT NULL,
    -- Somebody made it for themselves, under a name of their choice: no set-up file writes into it.
    registered BIGINT NOT NULL DEFAULT 0 CONSTRAINT tenant_is_registered_or_not CHECK (registered IN (0, 1)),
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX tenant_changed ON tenant (revision);

CREATE TABLE environment (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    is_default BIGINT NOT NULL CONSTRAINT environment_is_default_or_not CHECK (is_default IN (0, 1)),
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX environment_slug ON environment (tenant_id, slug) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX environment_default ON environment (tenant_id) WHERE is_default = 1 AND deleted_at IS NULL;
CREATE INDEX environment_changed ON environment (revision);

-- A customer of the tenant's own, with endpoints of its own.
CREATE TABLE application (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    external_id TEXT,
    metadata TEXT NOT NULL,
    endpoints_max BIGINT CONSTRAINT application_endpoints_max_is_not_negative CHECK (endpoints_max >= 0),
    shows_event_types BIGINT NOT NULL CONSTRAINT application_shows_event_types_or_not CHECK (shows_event_types IN (0, 1)),
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX application_external_id ON application (tenant_id, external_id) WHERE external_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX application_changed ON application (revision);

CREATE TABLE event_type (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    description TEXT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX event_type_name ON event_type (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX event_type_changed ON event_type (revision);

-- The event types an environment shows to those who may subscribe there.
CREATE TABLE event_type_published (
    environment_id UUID NOT NULL REFERENCES environment (id),
    event_type_id UUID NOT NULL REFERENCES event_type (id),
    published_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id, event_type_id)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE endpoint (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    environment_id UUID NOT NULL REFERENCES environment (id),
    application_id UUID REFERENCES application (id),
    name TEXT,
    description TEXT,
    url TEXT NOT NULL,
    -- What its owner set, or suspended: its receiver failed for so long that nothing more is taken for it. What follows from
    -- failures for a while is in endpoint_breaker.
    status TEXT NOT NULL CONSTRAINT endpoint_status_is_known CHECK (status IN ('active', 'inactive', 'suspended')),
    profile TEXT NOT NULL,
    -- Any JSON object up to 16 KiB.
    metadata TEXT NOT NULL,
    concurrency_max BIGINT NOT NULL CONSTRAINT concurrency_is_positive CHECK (concurrency_max >= 1),
    -- NULL: the tenant's.
    attempts_max BIGINT CONSTRAINT endpoint_attempts_max_in_range CHECK (attempts_max BETWEEN 1 AND 100),
    -- A signing secret of its own; NULL: the tenant's. Until previous_secret_until the previous one signs as well.
    secret_sealed BYTEA,
    previous_secret_sealed BYTEA,
    previous_secret_until BIGINT,
    -- Outbound authentication: a sealed JSON document.
    auth_sealed BYTEA,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    CONSTRAINT previous_secret_has_an_end CHECK ((previous_secret_sealed IS NULL) = (previous_secret_until IS NULL))
);
CREATE UNIQUE INDEX endpoint_name ON endpoint (environment_id, name) WHERE name IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX endpoint_of_tenant ON endpoint (tenant_id, id);
CREATE INDEX endpoint_changed ON endpoint (revision);

-- One event pattern of an endpoint. Changing one raises its endpoint's revision.
CREATE TABLE subscription (
    id UUID PRIMARY KEY,
    endpoint_id UUID NOT NULL REFERENCES endpoint (id),
    pattern TEXT NOT NULL,
    -- Set where somebody subscribed to a registered type: the pattern is that type's name.
    event_type_id UUID REFERENCES event_type (id),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX subscription_pattern ON subscription (endpoint_id, pattern);

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
    -- Raised by activations alone: a refusal changes nothing about where events go.
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);
CREATE INDEX plugin_changed ON plugin (revision);

CREATE TABLE plugin_activation (
    plugin_id UUID NOT NULL REFERENCES plugin (id),
    generation BIGINT NOT NULL,
    hash BYTEA NOT NULL REFERENCES plugin_module (hash),
    activated_at BIGINT NOT NULL,
    PRIMARY KEY (plugin_id, generation)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE sender (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    environment_id UUID NOT NULL REFERENCES environment (id),
    -- The endpoint that its events go to, where it was made for one.
    endpoint_id UUID REFERENCES endpoint (id),
    -- What a set-up file knows it by; label is for people alone.
    name TEXT,
    label TEXT,
    status TEXT NOT NULL CONSTRAINT sender_status_is_known CHECK (status IN ('active', 'inactive')),
    -- What makes another payload of each event, before a plugin sees it: a JSON object of expressions.
    mapping TEXT,
    mapping_failure TEXT NOT NULL DEFAULT 'hold' CONSTRAINT mapping_failure_is_known CHECK (mapping_failure IN ('hold', 'raw')),
    -- How requests of a service that cannot send our credentials are known to be its own: a JSON document, and beside it the
    -- secrets as a sealed JSON list, newest first.
    verification TEXT,
    verification_secrets_sealed BYTEA,
    plugin TEXT,
    config TEXT NOT NULL,
    failure_policy TEXT NOT NULL,
    event_type_header TEXT,
    exposed_headers TEXT NOT NULL,
    -- JSON list of endpoint names the sender may choose from; NULL is all of its environment.
    endpoints TEXT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    CONSTRAINT verification_has_secrets CHECK ((verification IS NULL) = (verification_secrets_sealed IS NULL))
);
CREATE UNIQUE INDEX sender_name ON sender (environment_id, name) WHERE name IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX sender_of_tenant ON sender (tenant_id, id);
CREATE INDEX sender_changed ON sender (revision);

-- A person who logs in. Nodes keep no users in memory: each request of one asks for its session, so that whoever is shut
-- out is shut out everywhere at once.
CREATE TABLE user_account (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    -- In lower case.
    email TEXT NOT NULL UNIQUE,
    -- Argon2id, as a PHC string.
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CONSTRAINT user_role_is_known CHECK (role IN ('viewer', 'developer', 'admin', 'owner')),
    status TEXT NOT NULL CONSTRAINT user_status_is_known CHECK (status IN ('active', 'inactive')),
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX user_of_tenant ON user_account (tenant_id, id);

-- A log-in, for as long as its refresh token is used in time. Logging out deletes the row, and with it all its tokens open.
CREATE TABLE session (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    -- SHA-256 of the refresh token that is good now, and of the one before it: who uses that again may be a thief.
    hash BYTEA NOT NULL,
    previous_hash BYTEA,
    -- The password that opened it, as it is kept: with another one of its user the session is over.
    password_hash TEXT NOT NULL,
    refreshed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX session_of_user ON session (user_id);
CREATE INDEX session_expiry ON session (expires_at);

-- What lets somebody make a user of a tenant, once. The token is shown in lists, so a sealed copy is kept.
CREATE TABLE invite (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenant (id),
    hash BYTEA NOT NULL UNIQUE,
    sealed BYTEA NOT NULL,
    role TEXT NOT NULL CONSTRAINT invited_role_is_known CHECK (role IN ('viewer', 'developer', 'admin')),
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX invite_of_tenant ON invite (tenant_id, id);

-- Every kind of key and token. Looked up by the SHA-256 of its whole text; a sealed copy is kept only where an API shows
-- it again.
CREATE TABLE credential (
    id UUID PRIMARY KEY,
    -- NULL is the operator's.
    tenant_id UUID REFERENCES tenant (id),
    kind TEXT NOT NULL,
    -- What it stands for: an endpoint's or a sender's ingest token, a user's session. NULL is the tenant as a whole.
    subject_id UUID,
    environment_id UUID REFERENCES environment (id),
    -- What a set-up file knows it by; label is for people alone.
    name TEXT,
    label TEXT,
    -- What it allows, in the words of its kind.
    rights TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    sealed BYTEA,
    expires_at BIGINT,
    disabled_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX credential_name ON credential (tenant_id, kind, name) WHERE name IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX credential_subject ON credential (subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX credential_of_tenant ON credential (tenant_id, kind, id);
CREATE INDEX credential_changed ON credential (revision);

-- Facts --------------------------------------------------------------------------------------------------------------
--
-- Only ever inserted, so that a large row is written once, and deleted by age. From here on there are no REFERENCES: these
-- rows are written by the thousand per second, each in the transaction that also writes what it refers to, so a lookup
-- per column and row would find nothing wrong.

-- One accepted payload, kept byte for byte. The payload is the last column: a list reads only the columns before it.
CREATE TABLE event (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    environment_id UUID NOT NULL,
    -- How it came in: by a sender's token, by an endpoint's own token, or by a credential that may publish.
    source_kind TEXT NOT NULL CONSTRAINT event_source_is_known CHECK (source_kind = 'sender' OR source_kind = 'endpoint' OR source_kind = 'credential'),
    source_id UUID NOT NULL,
    idempotency_key TEXT,
    event_type TEXT NOT NULL,
    -- NULL is application/json.
    content_type TEXT,
    -- JSON list of pairs; NULL is none.
    headers TEXT,
    accepted_at BIGINT NOT NULL,
    payload_bytes BIGINT NOT NULL,
    payload BYTEA NOT NULL
);
CREATE INDEX event_of_tenant ON event (tenant_id, id);

-- Which event a request with an idempotency key became (A2). A row after its expiry counts as absent.
CREATE TABLE idempotency (
    tenant_id UUID NOT NULL,
    -- Within what a key is unique, as the dialect says: an API, one of its routes, an endpoint.
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    event_id UUID NOT NULL,
    -- SHA-256 of the request, where a different request under the same key is refused.
    fingerprint BYTEA,
    -- NULL: the key is never forgotten.
    expires_at BIGINT,
    PRIMARY KEY (tenant_id, scope, key)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX idempotency_expiry ON idempotency (expires_at) WHERE expires_at IS NOT NULL;

-- What was decided about an event and why. An event that came in by an endpoint's own token has none: it goes there.
CREATE TABLE decision (
    event_id UUID NOT NULL,
    -- 1 for the first; a held event that is routed again gets another.
    run BIGINT NOT NULL,
    outcome TEXT NOT NULL CONSTRAINT decision_outcome_is_known CHECK (outcome = 'routed' OR outcome = 'dropped' OR outcome = 'held' OR outcome = 'dead-lettered'),
    decided_by TEXT NOT NULL,
    decided_at BIGINT NOT NULL,
    -- The plugin's activation, where a plugin ran, and what the run took.
    plugin_id UUID,
    generation BIGINT,
    cpu_us BIGINT,
    wall_us BIGINT,
    memory_bytes BIGINT,
    -- JSON: reasons, endpoints that were passed over, annotations, log lines; NULL when there is nothing to add.
    detail TEXT,
    -- Only where nothing was delivered, for the list of those; NULL for what was routed, which is nearly all.
    tenant_id UUID,
    PRIMARY KEY (event_id, run),
    CONSTRAINT tenant_iff_not_routed CHECK ((tenant_id IS NULL) = (outcome = 'routed'))
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX decision_dropped ON decision (event_id) WHERE outcome = 'dropped';
CREATE INDEX decision_dropped_of_tenant ON decision (tenant_id, event_id) WHERE outcome = 'dropped';

-- A payload a plugin made, shared by the deliveries of its decision that point at it.
CREATE TABLE content (
    event_id UUID NOT NULL,
    run BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    -- NULL is application/json.
    content_type TEXT,
    body BYTEA NOT NULL,
    PRIMARY KEY (event_id, run, ordinal)
);

-- One event for one endpoint.
CREATE TABLE delivery (
    id UUID PRIMARY KEY,
    event_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    -- The decision that made it; several runs may each make one for the same endpoint.
    run BIGINT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT delivery_kind_is_known CHECK (kind = 'event' OR kind = 'test' OR kind = 'replay'),
    -- Of the run's contents; NULL is the event's payload as received.
    content BIGINT,
    -- JSON list of pairs; NULL is none.
    headers TEXT
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX delivery_of_event ON delivery (event_id);
CREATE INDEX delivery_of_endpoint ON delivery (endpoint_id, id);
CREATE INDEX delivery_of_tenant ON delivery (tenant_id, id);

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
) /*sqlite: WITHOUT ROWID */;

-- Work ---------------------------------------------------------------------------------------------------------------
--
-- Small and mutable: what is not finished. A row is deleted when its work is done, so these tables are as large as the
-- backlog and not as the history. `lease` names the node that has the row in memory.

-- An event that waits for a decision, or for somebody to act.
CREATE TABLE route_work (
    event_id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    sender_id UUID NOT NULL,
    state TEXT NOT NULL CONSTRAINT route_state_is_known CHECK (state = 'pending' OR state = 'held' OR state = 'dead-lettered'),
    payload_bytes BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    -- Failures so far that may not happen again.
    failures BIGINT NOT NULL,
    -- Decisions so far.
    runs BIGINT NOT NULL,
    -- For a held event the revision of the sender and plugin that held it: under a newer one it is routed again.
    held_under BIGINT NOT NULL,
    lease UUID,
    CONSTRAINT only_pending_events_are_leased CHECK (lease IS NULL OR state = 'pending')
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX route_work_pending ON route_work (sender_id, due_at) WHERE state = 'pending' AND lease IS NULL;
CREATE INDEX route_work_held ON route_work (sender_id, held_under, event_id) WHERE state = 'held';
CREATE INDEX route_work_leased ON route_work (lease) WHERE lease IS NOT NULL;
-- No index that begins with the state serves what is claimed: SQLite prefers its equality to the order that was asked for,
-- and would sort the whole backlog to find its first row. It does not see that a held event is not a pending one, so
-- the index of what stands still is used only where a query says both.
CREATE INDEX route_work_pending_listed ON route_work (event_id) WHERE state = 'pending' AND lease IS NULL;
CREATE INDEX route_work_standing ON route_work (state, event_id) WHERE state <> 'pending';
CREATE INDEX route_work_dead_lettered ON route_work (sender_id, event_id) WHERE state = 'dead-lettered';
CREATE INDEX route_work_of_tenant ON route_work (tenant_id, state, event_id) WHERE lease IS NULL;

-- A delivery that is not delivered. One without a row here is delivered.
CREATE TABLE delivery_work (
    delivery_id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    state TEXT NOT NULL CONSTRAINT delivery_state_is_known CHECK (state = 'waiting' OR state = 'rejected' OR state = 'exhausted' OR state = 'cancelled'),
    attempts BIGINT NOT NULL CONSTRAINT attempts_are_not_negative CHECK (attempts >= 0),
    -- attempts, counted since the last replay, at which the delivery gives up
    attempts_max BIGINT NOT NULL,
    -- attempts made before the last replay
    attempts_before BIGINT NOT NULL,
    body_bytes BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    completed_at BIGINT,
    lease UUID,
    -- Whether its event has other deliveries, and so a row in fan_out.
    siblings BIGINT NOT NULL DEFAULT 0 CONSTRAINT siblings_or_none CHECK (siblings IN (0, 1)),
    CONSTRAINT completed_at_iff_not_waiting CHECK ((completed_at IS NULL) = (state = 'waiting')),
    CONSTRAINT only_waiting_deliveries_are_leased CHECK (lease IS NULL OR state = 'waiting')
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX delivery_work_waiting ON delivery_work (endpoint_id, due_at) WHERE state = 'waiting' AND lease IS NULL;
CREATE INDEX delivery_work_leased ON delivery_work (lease) WHERE lease IS NOT NULL;
CREATE INDEX delivery_work_due ON delivery_work (due_at) WHERE state = 'waiting' AND lease IS NULL;
CREATE INDEX delivery_work_waiting_listed ON delivery_work (delivery_id) WHERE state = 'waiting' AND lease IS NULL;
CREATE INDEX delivery_work_ended ON delivery_work (state, delivery_id) WHERE state <> 'waiting';
CREATE INDEX delivery_work_ended_of_endpoint ON delivery_work (endpoint_id, state) WHERE state <> 'waiting';
CREATE INDEX delivery_work_of_tenant ON delivery_work (tenant_id, state, delivery_id) WHERE lease IS NULL;

-- The deliveries of an event that has several, by how far each has come. Deleted once all are delivered: that is for good.
CREATE TABLE fan_out (
    event_id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    -- waiting, not tried since they were made or replayed
    fresh BIGINT NOT NULL,
    retrying BIGINT NOT NULL DEFAULT 0,
    delivered BIGINT NOT NULL DEFAULT 0,
    exhausted BIGINT NOT NULL DEFAULT 0,
    rejected BIGINT NOT NULL DEFAULT 0,
    cancelled BIGINT NOT NULL DEFAULT 0
) /*sqlite: WITHOUT ROWID */;

-- How many events a tenant has, and how many of them have come how far; the rest are delivered. Kept in the very transaction
-- that changes it: an accepted event by the statement that accepts it, all that follows by triggers, so that no statement
-- can forget it (0002 for PostgreSQL, 0003 for SQLite). What a state means is said where it is searched for, in
-- host/store/src/statements/search.rs. A tenant's numbers are the sums over its rows: writers of different connections use
-- different slots, so that none waits for another's commit. The number of one slot may be negative.
CREATE TABLE event_count (
    tenant_id UUID NOT NULL,
    slot BIGINT NOT NULL,
    accepted BIGINT NOT NULL DEFAULT 0,
    pending BIGINT NOT NULL DEFAULT 0,
    retrying BIGINT NOT NULL DEFAULT 0,
    exhausted BIGINT NOT NULL DEFAULT 0,
    rejected BIGINT NOT NULL DEFAULT 0,
    cancelled BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, slot)
) /*sqlite: WITHOUT ROWID */;

-- An endpoint that is left alone because its receiver failed too often. Kept so that a restart does not forget it and a
-- page can show it.
CREATE TABLE endpoint_breaker (
    endpoint_id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    -- When it was first left alone, without a success since.
    opened_at BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;
