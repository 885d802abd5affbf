-- to_4.sql: what version 4 adds to the tables of version 3. A new store gets all of them, an old one those it lacks.

ALTER TABLE corral_job ADD COLUMN past TEXT;         -- attempts that did not complete it (job.PastAttempt), as JSON

UPDATE corral_meta SET value = 4 WHERE key = 'schema';
