-- Schema `router`. Instants are UTC milliseconds of the business clock unless the name says real.

-- Where intake stands. The epoch counts up whenever an instance takes a partition over; every transaction checks it,
-- so that an instance that lost the partition cannot count a record a second time.
CREATE TABLE intake_positions (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    epoch       bigint  NOT NULL,
    owner       text    NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- One row per customer ever seen; locked, in the order of the id, by every transaction that decides about the customer.
CREATE TABLE decision_locks (
    customer_id bigint PRIMARY KEY
);

CREATE TABLE customers (
    customer_id       bigint PRIMARY KEY,
    log_offset        bigint NOT NULL,
    city              text   NOT NULL,
    segment           text   NOT NULL,
    tier              text   NOT NULL,
    brand             text   NOT NULL,
    arpu_fen          bigint,
    language          text   NOT NULL,
    owner_manager_id  text,
    deputy_manager_id text,
    agreed_channels   text[] NOT NULL,
    quiet_windows     text[] NOT NULL,
    refused_groups    text[] NOT NULL,
    bereavement_until integer,
    phone_masked      text   NOT NULL,
    visited_zone      text
);

-- Every moment has exactly one row here, whatever became of it.
CREATE TABLE moments (
    moment_id       text PRIMARY KEY,
    revision        integer NOT NULL,
    customer_id     bigint  NOT NULL,
    rule_id         text    NOT NULL,
    moment_group    text    NOT NULL,
    dimension       text    NOT NULL,
    state           text    NOT NULL,
    priority        integer NOT NULL,
    channel         text    NOT NULL,
    occurred_at     bigint  NOT NULL,
    detected_at     bigint  NOT NULL,
    earliest_contact_at bigint,
    expires_at      bigint  NOT NULL,
    history         boolean NOT NULL,
    risk_score      double precision NOT NULL,
    supersedes      text[]  NOT NULL,
    city            text    NOT NULL,
    content         json    NOT NULL,           -- what only the card shows: evidence, terms, sentence
    row_state       text    NOT NULL CHECK (row_state IN ('PENDING', 'CARD', 'LEDGER')),
    reason          text    NOT NULL,
    waited_for      text,                       -- for the ledger: what it was waiting for when it ended
    detail          text    NOT NULL DEFAULT '',
    waits_until     bigint,
    due_at          bigint  NOT NULL,           -- decide again then, without any news
    ready_at        bigint,                     -- waits for a person only, since
    rank_base       double precision,
    owner_manager_id text,
    task_id         text,
    declined_by     text[]  NOT NULL DEFAULT '{}',
    missed_by       text[]  NOT NULL DEFAULT '{}',
    received_at     bigint  NOT NULL,
    changed_at      bigint  NOT NULL
);
CREATE INDEX moments_customer ON moments (customer_id);
CREATE INDEX moments_due ON moments (due_at) WHERE row_state <> 'LEDGER' AND reason <> 'worked';
CREATE INDEX moments_backlog ON moments (city, rank_base DESC) WHERE ready_at IS NOT NULL;
CREATE INDEX moments_backlog_urgent ON moments (city, expires_at) WHERE ready_at IS NOT NULL;
CREATE INDEX moments_task ON moments (task_id) WHERE task_id IS NOT NULL;

-- NS2 and AN1 as facts about the customer, whatever became of the moment itself.
CREATE TABLE gates (
    moment_id   text PRIMARY KEY,
    customer_id bigint  NOT NULL,
    rule_id     text    NOT NULL,
    revision    integer NOT NULL,
    is_open     boolean NOT NULL,
    changed_at  bigint  NOT NULL
);
CREATE INDEX gates_customer ON gates (customer_id);

-- Contacts by anybody: other channels (source and event_id as sent), managers (source kairos-workbench, id of the task),
-- messages of this router (source kairos-router, id of the moment).
CREATE TABLE contacts (
    source      text   NOT NULL,
    event_id    text   NOT NULL,
    customer_id bigint NOT NULL,
    channel     text   NOT NULL,
    direction   text   NOT NULL,
    outcome     text   NOT NULL,
    dimension   text   NOT NULL,
    occurred_at bigint NOT NULL,
    PRIMARY KEY (source, event_id)
);
CREATE INDEX contacts_customer ON contacts (customer_id, occurred_at);

-- Tasks as sent, and what their events say. An open card is the reservation of a call.
CREATE TABLE cards (
    task_id     text PRIMARY KEY,
    version     integer NOT NULL,
    customer_id bigint  NOT NULL,
    city        text    NOT NULL,
    state       text    NOT NULL,
    manager_id  text    NOT NULL,
    units       integer NOT NULL,
    score       double precision NOT NULL,
    factors     json    NOT NULL,
    step        text    NOT NULL,
    moment_ids  text[]  NOT NULL,
    expires_at  bigint  NOT NULL,
    message     bytea   NOT NULL,               -- the Task as sent, so that a repetition is the same
    planned_at  bigint  NOT NULL,
    sequence    bigint  NOT NULL DEFAULT 0,     -- of the newest task event
    is_open     boolean NOT NULL
);
CREATE UNIQUE INDEX cards_one_open ON cards (customer_id) WHERE is_open;
CREATE INDEX cards_unsent ON cards (city) WHERE state = 'DISPATCHING';

CREATE TABLE rescinds (
    task_id     text PRIMARY KEY,
    version     integer NOT NULL,
    customer_id bigint  NOT NULL,
    reason      text    NOT NULL,
    asked_at    bigint  NOT NULL,
    is_answered boolean NOT NULL DEFAULT false  -- by the workbench; kept until the card is closed
);
CREATE INDEX rescinds_unanswered ON rescinds (asked_at) WHERE NOT is_answered;

-- Messages for the contact channel; sent_at_real NULL = still to be written out.
CREATE TABLE contact_outbox (
    moment_id    text PRIMARY KEY,
    customer_id  bigint NOT NULL,
    channel      text   NOT NULL,
    content      json   NOT NULL,
    queued_at    bigint NOT NULL,
    sent_at_real bigint
);
CREATE INDEX contact_outbox_unsent ON contact_outbox (queued_at) WHERE sent_at_real IS NULL;
