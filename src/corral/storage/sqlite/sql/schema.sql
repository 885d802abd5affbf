-- schema.sql: the tables of a corral store, version 1. They may live beside an application's own tables.
--
-- corral_job holds every job in one row. (state, k1, k2) is its place, and one index serves every question about places:
--   state 0 waiting    k1 = rank (options.priority_rank)   k2 = order (negative: put to the front)
--   state 1 delayed    k1 = due time                       k2 = order
--   state 2 active     k1 = end of the lease               k2 = pk
--   state 3 children   k1 = since                          k2 = pk
--   state 4 completed  k1 = finished                       k2 = order of finishing
--   state 5 failed     k1 = finished                       k2 = order of finishing
--   state 6 held       as waiting, set aside because its name is at its cap; served again when one of that name ends
-- pk is the queue's pk and, in its low 40 bits, the job's number in the queue. Jobs without an id of the caller's are called
-- by that number, so they pay for no second index.

CREATE TABLE corral_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE corral_queue (
    pk INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    settings TEXT DEFAULT '{}',            -- QueueInfo as JSON; NULL: obliterated, kept so that no number comes twice
    waiting INTEGER NOT NULL DEFAULT 0,    -- held ones included
    delayed INTEGER NOT NULL DEFAULT 0,
    active INTEGER NOT NULL DEFAULT 0,
    children INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    completed_total INTEGER NOT NULL DEFAULT 0,
    failed_total INTEGER NOT NULL DEFAULT 0,
    window_at INTEGER NOT NULL DEFAULT 0,  -- start of the rate limit's window
    window_used INTEGER NOT NULL DEFAULT 0,
    next_event INTEGER NOT NULL DEFAULT 1,
    next_number INTEGER NOT NULL DEFAULT 1, -- of places in the order
    next_id INTEGER NOT NULL DEFAULT 1,    -- of jobs
    add_at INTEGER NOT NULL DEFAULT 0,     -- start of the producers' window
    add_used INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE corral_job (
    pk INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    k1 INTEGER NOT NULL,
    k2 INTEGER NOT NULL,
    id TEXT,                               -- NULL: called by its number
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    options TEXT,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,             -- when it could first have been claimed, this time round
    expires_at INTEGER,
    started_at INTEGER,
    attempts_started INTEGER NOT NULL DEFAULT 0,
    attempts_made INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    worker TEXT,
    cancel TEXT,                           -- the reason, once somebody asked a running job to stop
    progress TEXT,
    result TEXT,
    reason TEXT,
    traces TEXT,
    schedule TEXT,
    scheduled_for INTEGER,
    parent INTEGER,                        -- pk of the parent
    parent_ref TEXT,                       -- ParentRef as JSON
    pending INTEGER NOT NULL DEFAULT 0     -- children that have not ended
);
CREATE INDEX corral_job_place ON corral_job (queue, state, k1, k2);
CREATE UNIQUE INDEX corral_job_id ON corral_job (queue, id) WHERE id IS NOT NULL;
CREATE INDEX corral_job_held ON corral_job (queue, name, k1, k2) WHERE state = 6;

-- Outlives the child, so that a parent can read results of children that retention removed.
CREATE TABLE corral_child (
    parent INTEGER NOT NULL,
    child INTEGER NOT NULL,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,                -- 0 pending, 4 completed, 5 failed
    policy TEXT NOT NULL,                  -- ParentPolicy; what is spent becomes 'ignore'
    value TEXT,
    PRIMARY KEY (parent, child)
) WITHOUT ROWID;

CREATE TABLE corral_log (
    job INTEGER NOT NULL,
    line INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, line)
) WITHOUT ROWID;

-- One row holds every event of one queue in one transaction; seq numbers its first event.
CREATE TABLE corral_event (
    queue INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (queue, seq)
) WITHOUT ROWID;

CREATE TABLE corral_schedule (
    queue TEXT NOT NULL,
    key TEXT NOT NULL,
    next_at INTEGER,                       -- NULL: ended, or paused
    body TEXT NOT NULL,                    -- Schedule as JSON
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX corral_schedule_due ON corral_schedule (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE corral_worker (
    id TEXT PRIMARY KEY,
    seen_at INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE corral_note (
    queue INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX corral_note_expiry ON corral_note (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE corral_minute (
    queue INTEGER NOT NULL,
    at INTEGER NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    retried INTEGER NOT NULL DEFAULT 0,
    wait_ms INTEGER NOT NULL DEFAULT 0,
    run_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, at)
) WITHOUT ROWID;

INSERT INTO corral_meta VALUES ('schema', 1);
