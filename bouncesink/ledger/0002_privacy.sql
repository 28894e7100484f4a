CREATE TABLE forgotten (
  -- Whose address has been erased, and is still not mailed: see deploy/privacy.md.
  key_id TEXT NOT NULL,              -- which key: the file that ends in .key beside the ledger
  digest TEXT NOT NULL,              -- HMAC-SHA-256 of the normalised address, in hex
  at TEXT NOT NULL,
  PRIMARY KEY (key_id, digest)
);

CREATE TABLE audit (
  -- What operators did, one line each. Lines are added, and never changed or removed.
  number INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,               -- who
  act TEXT NOT NULL,                 -- what: confirm, suppress, queue.done, backup, ...
  subject TEXT,                      -- on what: an address, an action's key, a file
  reason TEXT,                       -- why
  before TEXT,                       -- how it stood, where that is known
  after TEXT                         -- how it stands since
);
CREATE INDEX audit_at ON audit (at);
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN
  SELECT raise(ABORT, 'the audit is kept as it is: lines are only added');
END;
-- `forget` alone changes a line: it puts forgotten:... in the place of an address.
CREATE TRIGGER audit_stands BEFORE UPDATE ON audit
WHEN new.number IS NOT old.number OR new.at IS NOT old.at OR new.act IS NOT old.act
  OR (new.actor IS NOT old.actor AND new.actor NOT LIKE '%forgotten:%')
  OR (new.subject IS NOT old.subject AND new.subject NOT LIKE '%forgotten:%')
  OR (new.reason IS NOT old.reason AND new.reason NOT LIKE '%forgotten:%')
  OR (new.before IS NOT old.before AND new.before NOT LIKE '%forgotten:%')
  OR (new.after IS NOT old.after AND new.after NOT LIKE '%forgotten:%')
BEGIN
  SELECT raise(ABORT, 'the audit is kept as it is: lines are only added');
END;

-- What an operator does about an address is an event, and about an action a move: whichever
-- command or page it comes from, it has its line, in the same transaction.
CREATE TRIGGER acts_audited AFTER INSERT ON events WHEN new.actor IS NOT NULL BEGIN
  INSERT INTO audit (at, actor, act, subject, reason, before) SELECT
    new.recorded_at, new.actor, new.kind, new.address, new.reason,
    (SELECT CASE WHEN mailable THEN 'may be mailed' ELSE suppressed END
      FROM contacts WHERE address = new.address);
END;
-- What a worker (HOST:PID in its name) carries out is no operator's act. The end of a review item is
-- told by the event of the act that ended it, unless it is about a mail that names nobody.
CREATE TRIGGER moves_audited AFTER UPDATE OF moved_at ON actions
WHEN new.actor IS NOT NULL AND new.moved_at IS NOT NULL
  AND new.actor NOT IN ('alert', 'hubspot', 'smartlead', 'webhook')
  AND new.actor NOT GLOB '*@*:[0-9]*:??????'
  AND NOT (
    new.kind IN ('review', 'reverify')
    AND (new.address IS NOT NULL OR coalesce(new.reason, '') LIKE 'confirmed:%')
  )
BEGIN
  INSERT INTO audit (at, actor, act, subject, reason, before, after) VALUES (
    new.moved_at, new.actor, new.kind || '.' || new.state, new.key, new.reason,
    old.state, new.state
  );
END;

-- The comments stand inside the columns, as SQLite keeps them with the table only there.
ALTER TABLE arrival_bytes ADD COLUMN kept /* all, no_body, whole or status */ TEXT NOT NULL DEFAULT 'all';
ALTER TABLE arrival_bytes ADD COLUMN digest /* SHA-256 of raw in hex, unless that is all */ TEXT;
CREATE INDEX arrival_bytes_kept ON arrival_bytes (kept, number);

ALTER TABLE events ADD COLUMN
  bare /* 1: past [retention] events_months, cut to what counts */ INTEGER NOT NULL DEFAULT 0;
