-- to_3.sql: what version 3 adds to the tables of version 2. A new store gets all of them, an old one those it lacks.

-- Small texts that belong to no queue: audit entries, operations, tokens ...
CREATE TABLE corral_entry (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,                   -- when this version was written
    expires_at INTEGER,
    text TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE corral_kind (
    kind TEXT PRIMARY KEY,
    entries INTEGER NOT NULL               -- how many there are: counting 100,000 at each write takes 10 ms
) WITHOUT ROWID;
CREATE INDEX corral_entry_expiry ON corral_entry (expires_at) WHERE expires_at IS NOT NULL;

UPDATE corral_meta SET value = 3 WHERE key = 'schema';
