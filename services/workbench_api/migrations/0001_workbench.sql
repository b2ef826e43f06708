-- Instants are UTC milliseconds: *_at_ms of the business clock unless the comment says real.

CREATE TABLE managers (
    manager_id text PRIMARY KEY,
    city text NOT NULL,
    team text NOT NULL DEFAULT '',
    capacity_units integer NOT NULL CHECK (capacity_units > 0),
    daily_budget integer NOT NULL CHECK (daily_budget > 0),
    skills text[] NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    presence text NOT NULL DEFAULT 'OFFLINE',
    missed_offers integer NOT NULL DEFAULT 0,
    accepted_on date,                        -- local date of the business clock that accepted_count is about
    accepted_count integer NOT NULL DEFAULT 0
);
CREATE INDEX managers_by_city ON managers (city, manager_id);

-- Apart from managers, so that hearing of many at once never waits for a lock on one of them.
CREATE TABLE seen (
    manager_id text PRIMARY KEY,
    real_at_ms bigint NOT NULL
);

CREATE TABLE tasks (
    task_id uuid PRIMARY KEY,
    version integer NOT NULL,
    state text NOT NULL,
    customer_id bigint NOT NULL,
    manager_id text NOT NULL,
    city text NOT NULL,
    units integer NOT NULL CHECK (units > 0),
    priority smallint NOT NULL,
    score double precision NOT NULL,
    expires_at_ms bigint NOT NULL,
    windows bigint[] NOT NULL,               -- opens, closes, opens, closes, ...
    moment_ids text[] NOT NULL,
    rule_id text NOT NULL,                   -- of the leading moment, as the dimension
    dimension text NOT NULL,
    body bytea NOT NULL,                     -- kairos.workbench.v1.Task as dispatched
    created_at_ms bigint NOT NULL,
    ready_at_ms bigint NOT NULL,
    attempts integer NOT NULL,
    epoch bigint NOT NULL,
    lease_started_at_ms bigint,              -- real
    lease_expires_at_ms bigint,              -- real
    offer_request_id text NOT NULL DEFAULT '',
    deliveries integer NOT NULL DEFAULT 0,
    rescind_reason text NOT NULL DEFAULT '',
    sequence bigint NOT NULL,
    changed_at_ms bigint NOT NULL,
    CHECK ((state IN ('OFFERED', 'ACCEPTED', 'WRAPPING')) = (lease_expires_at_ms IS NOT NULL))
);
-- One open card per customer.
CREATE UNIQUE INDEX tasks_open_by_customer ON tasks (customer_id)
    WHERE state IN ('HELD', 'QUEUED', 'OFFERED', 'ACCEPTED', 'WRAPPING', 'DEFERRED');
CREATE INDEX tasks_open_by_manager ON tasks (manager_id)
    WHERE state IN ('HELD', 'QUEUED', 'OFFERED', 'ACCEPTED', 'WRAPPING', 'DEFERRED');
CREATE INDEX tasks_by_manager ON tasks (manager_id, created_at_ms DESC, task_id DESC);
CREATE INDEX tasks_by_lease ON tasks (lease_expires_at_ms) WHERE lease_expires_at_ms IS NOT NULL;
CREATE INDEX tasks_waiting_by_expiry ON tasks (expires_at_ms) WHERE state IN ('HELD', 'QUEUED', 'OFFERED', 'DEFERRED');
CREATE INDEX tasks_waiting_by_ready ON tasks (ready_at_ms) WHERE state IN ('QUEUED', 'DEFERRED');

-- A rescinded task, known or not: versions up to this one never come (back) to life.
CREATE TABLE tombstones (
    task_id uuid PRIMARY KEY,
    version integer NOT NULL,
    reason text NOT NULL,
    real_at_ms bigint NOT NULL
);

CREATE TABLE task_events (
    task_id uuid NOT NULL,
    sequence bigint NOT NULL,
    version integer NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    cause text NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    manager_id text NOT NULL,
    epoch bigint NOT NULL,
    at_ms bigint NOT NULL,
    real_at_ms bigint NOT NULL,
    PRIMARY KEY (task_id, sequence)
);

-- Encoded task events on their way to Kafka; deleted once acknowledged.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    customer_id bigint NOT NULL,
    real_at_ms bigint NOT NULL,
    body bytea NOT NULL
);

-- What people answered; the key makes a repeated CompleteTask give the same answer.
CREATE TABLE completions (
    manager_id text NOT NULL,
    request_id text NOT NULL,
    task_id uuid NOT NULL,
    customer_id bigint NOT NULL,
    rule_id text NOT NULL,
    disposition text NOT NULL,
    note text NOT NULL,
    answers jsonb NOT NULL,
    promise text NOT NULL,
    next_contact_on date,
    at_ms bigint NOT NULL,
    response bytea NOT NULL,
    PRIMARY KEY (manager_id, request_id)
);
CREATE INDEX completions_by_customer ON completions (customer_id, at_ms DESC);

-- The customer view as it stands on kairos.customers.v1; of two copies the higher log offset holds.
CREATE TABLE customers (
    customer_id bigint PRIMARY KEY,
    log_offset bigint NOT NULL,
    body bytea NOT NULL
);

CREATE TABLE offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
