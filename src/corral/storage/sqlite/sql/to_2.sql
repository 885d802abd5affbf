-- to_2.sql: what version 2 adds to the tables of version 1. A new store gets both, an old one this when it is opened.

-- uniqueness, edges, failures, figures

ALTER TABLE corral_job ADD COLUMN edges INTEGER NOT NULL DEFAULT 0; -- 1: jobs come after it   2: it comes after jobs
ALTER TABLE corral_job ADD COLUMN later INTEGER;     -- delay once its children have ended; below 0: minus the instant
ALTER TABLE corral_job ADD COLUMN dedup TEXT;        -- its deduplication id, whether or not it still owns that
ALTER TABLE corral_job ADD COLUMN fingerprint TEXT;  -- of its last failure

-- A job that comes after another one stands in corral_child too, as if it were its parent; these are the ways back.
CREATE TABLE corral_after (
    before INTEGER NOT NULL,               -- pk of the job that must end first
    job INTEGER NOT NULL,                  -- pk of the one that waits for it
    policy TEXT NOT NULL,                  -- ParentPolicy
    PRIMARY KEY (before, job)
) WITHOUT ROWID;

CREATE TABLE corral_dedup (
    queue INTEGER NOT NULL,
    id TEXT NOT NULL,
    job TEXT NOT NULL,                     -- id of the job that keeps others out
    expires_at INTEGER,                    -- NULL: until that job has ended
    kept TEXT,                             -- NewJob as JSON: what is added then
    PRIMARY KEY (queue, id)
) WITHOUT ROWID;
CREATE INDEX corral_dedup_expiry ON corral_dedup (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE corral_failure (
    queue INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_job TEXT NOT NULL,
    last_name TEXT NOT NULL,
    PRIMARY KEY (queue, fingerprint)
) WITHOUT ROWID;
CREATE INDEX corral_failure_latest ON corral_failure (queue, last_at, fingerprint);

CREATE TABLE corral_figure (
    queue INTEGER NOT NULL,
    tier TEXT NOT NULL,                    -- Tier
    at INTEGER NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,                    -- Sample as JSON
    PRIMARY KEY (queue, tier, at, name)
) WITHOUT ROWID;

-- groups and limits

ALTER TABLE corral_queue ADD COLUMN grouped INTEGER NOT NULL DEFAULT 0;    -- waiting jobs in groups, held ones included
ALTER TABLE corral_queue ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;       -- the turn that was served last in the ring
ALTER TABLE corral_queue ADD COLUMN plain_turn INTEGER NOT NULL DEFAULT 0; -- that of the jobs without a group
ALTER TABLE corral_queue ADD COLUMN windows TEXT;                          -- of further limits and of names, as JSON

-- Jobs of groups: state 7 waiting in its group, k1 and k2 as for waiting ones. State 6 (held) may have a group too.
ALTER TABLE corral_job ADD COLUMN gid TEXT;
CREATE INDEX corral_job_group ON corral_job (queue, state, gid, k1, k2) WHERE gid IS NOT NULL;

CREATE TABLE corral_group (
    queue INTEGER NOT NULL,
    id TEXT NOT NULL,
    turn INTEGER,                          -- its place in the ring; NULL: nothing of it may start
    free_at INTEGER,                       -- when its block ends by itself; empty: when it may be forgotten
    looked_at INTEGER NOT NULL,            -- when that was decided
    waiting INTEGER NOT NULL,
    aside INTEGER NOT NULL,                -- of those: held for their name
    active INTEGER NOT NULL,
    settings TEXT,                         -- GroupSettings as JSON
    windows TEXT,                          -- of its rate limits, as JSON
    PRIMARY KEY (queue, id)
) WITHOUT ROWID;
CREATE INDEX corral_group_turn ON corral_group (queue, turn, id) WHERE turn IS NOT NULL;
CREATE INDEX corral_group_free ON corral_group (queue, free_at, id) WHERE free_at IS NOT NULL AND waiting > 0;
CREATE INDEX corral_group_idle ON corral_group (queue, free_at, id) WHERE free_at IS NOT NULL AND waiting = 0;

-- end of groups and limits

-- long texts last
--
-- What stands behind a text of 3 MB in its row is found by walking through 750 pages: a list of 50 such jobs took 350 ms.

CREATE TABLE corral_job_2 (
    pk INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    k1 INTEGER NOT NULL,
    k2 INTEGER NOT NULL,
    id TEXT,
    name TEXT NOT NULL,
    options TEXT,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    expires_at INTEGER,
    started_at INTEGER,
    attempts_started INTEGER NOT NULL DEFAULT 0,
    attempts_made INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    worker TEXT,
    cancel TEXT,
    schedule TEXT,
    scheduled_for INTEGER,
    parent INTEGER,
    parent_ref TEXT,
    pending INTEGER NOT NULL DEFAULT 0,
    edges INTEGER NOT NULL DEFAULT 0,
    later INTEGER,
    dedup TEXT,
    fingerprint TEXT,
    gid TEXT,
    reason TEXT,
    progress TEXT,
    traces TEXT,
    result TEXT,
    data TEXT NOT NULL
);
INSERT INTO corral_job_2 (
    pk, queue, state, k1, k2, id, name, options, priority, created_at, ready_at, expires_at, started_at, attempts_started, attempts_made,
    crashes, token, worker, cancel, schedule, scheduled_for, parent, parent_ref, pending, edges, later, dedup, fingerprint, gid, reason,
    progress, traces, result, data
) SELECT
    pk, queue, state, k1, k2, id, name, options, priority, created_at, ready_at, expires_at, started_at, attempts_started, attempts_made,
    crashes, token, worker, cancel, schedule, scheduled_for, parent, parent_ref, pending, edges, later, dedup, fingerprint, gid, reason,
    progress, traces, result, data
FROM corral_job;
DROP TABLE corral_job;
ALTER TABLE corral_job_2 RENAME TO corral_job;
CREATE INDEX corral_job_place ON corral_job (queue, state, k1, k2);
CREATE UNIQUE INDEX corral_job_id ON corral_job (queue, id) WHERE id IS NOT NULL;
CREATE INDEX corral_job_held ON corral_job (queue, name, k1, k2) WHERE state = 6;
CREATE INDEX corral_job_group ON corral_job (queue, state, gid, k1, k2) WHERE gid IS NOT NULL;

UPDATE corral_meta SET value = 2 WHERE key = 'schema';
