CREATE TABLE arrivals (
  -- What was handed to us, one row each. The bytes are in arrival_bytes.
  number INTEGER PRIMARY KEY,        -- the order in which they came
  id TEXT NOT NULL UNIQUE,           -- a hash of the bytes and of envelope_to
  source TEXT NOT NULL,              -- the way in: lmtp, file, ...
  media_type TEXT NOT NULL,          -- message/rfc822 or application/json
  envelope_from TEXT NOT NULL,       -- '' is the null sender <>
  envelope_to TEXT NOT NULL,
  received_at TEXT NOT NULL,         -- times are UTC, as in 2026-01-31T12:00:00.000Z
  state TEXT NOT NULL DEFAULT 'pending',  -- pending, done, or review: waits for a person
  kind TEXT,                         -- what it turned out to be: failure, auto_reply, ...
  recognizer TEXT,                   -- what read it
  identity TEXT,                     -- its Message-ID, or a hash of its body
  subject TEXT,
  note TEXT NOT NULL DEFAULT '',     -- why it is in review
  damage TEXT NOT NULL DEFAULT '[]', -- what was broken or cut: a JSON list of words
  confirmation_code TEXT,            -- of Gmail's request to confirm a forwarding rule
  confirmation_link TEXT
);
CREATE INDEX arrivals_pending ON arrivals (number) WHERE state = 'pending';
CREATE INDEX arrivals_review ON arrivals (number) WHERE state = 'review';
CREATE INDEX arrivals_confirmation ON arrivals (number) WHERE kind = 'forwarding_confirmation';

CREATE TABLE arrival_bytes (
  -- Apart from arrivals, so that listing those stays quick.
  number INTEGER PRIMARY KEY REFERENCES arrivals (number) ON DELETE CASCADE,
  raw BLOB NOT NULL
);

CREATE TABLE events (
  -- What one notification said of one address, or what an operator did. Never changed.
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                -- failure, delayed, feedback, ...; confirm, reinstate, ...
  address TEXT NOT NULL,             -- normalised; what counts
  domain TEXT NOT NULL,
  occurred_at TEXT NOT NULL,
  recorded_at TEXT NOT NULL,
  source TEXT NOT NULL,
  arrival_id TEXT REFERENCES arrivals (id),
  recipient TEXT,                    -- recipient to last_attempt: the report (RFC 3464)
  original_recipient TEXT,
  action TEXT,                       -- failed, delayed, delivered, relayed, expanded
  status TEXT,                       -- enhanced status code (RFC 3463)
  reply_code INTEGER,                -- of SMTP (RFC 5321)
  diagnostic TEXT,                   -- the sentence of the bounce
  remote_mta TEXT,
  reporting_mta TEXT,
  recognizer TEXT,
  last_attempt TEXT,
  category TEXT,                     -- category to evidence: the verdict
  severity TEXT,                     -- HARD, SOFT, BLOCK, NONE, UNKNOWN
  fault TEXT,                        -- address, remote, sender, nobody, unclear
  rule TEXT,                         -- the rule that spoke
  evidence TEXT,                     -- the words that it spoke about
  trust TEXT,                        -- proven, plausible, unchecked, doubtful, contradicted
  signals TEXT,                      -- what led to that: a JSON list
  message_id TEXT,                   -- of the message that bounced
  sender TEXT,
  subject TEXT,
  campaign TEXT,
  lead_id TEXT,
  actor TEXT,                        -- actor to target: of an operator's act
  reason TEXT,
  target TEXT                        -- the id of the event that it confirms or dismisses
);
CREATE INDEX events_address ON events (address, occurred_at);
CREATE INDEX events_occurred_at ON events (occurred_at);
CREATE INDEX events_message_id ON events (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX events_arrival_id ON events (arrival_id) WHERE arrival_id IS NOT NULL;

CREATE TABLE contacts (
  -- The state of each address that an event spoke of: always a fold of its events.
  address TEXT PRIMARY KEY NOT NULL,
  domain TEXT NOT NULL,
  mailable INTEGER NOT NULL,         -- the gate: 0 blocks any further e-mail outreach
  suppressed TEXT NOT NULL,          -- why: hard, strikes, complaint, unsubscribe, manual
  bounce_type TEXT,                  -- HARD or SOFT
  bounce_count INTEGER NOT NULL,
  last_bounce_at TEXT,
  strikes INTEGER NOT NULL,          -- as of last_strike_at: they decay since
  last_strike_at TEXT,
  hard_since TEXT,
  hard_event TEXT,                   -- the id of the event that made it HARD
  reinstated INTEGER NOT NULL,
  evidence TEXT NOT NULL             -- a JSON list of [time, code, message_id], oldest first
);
CREATE INDEX contacts_hard ON contacts (hard_since) WHERE bounce_type = 'HARD';
CREATE INDEX contacts_hard_domain ON contacts (domain) WHERE bounce_type = 'HARD';
CREATE INDEX contacts_suppressed ON contacts (address) WHERE mailable = 0;

CREATE TABLE leads (
  -- The rows of the sheet, as they were when it was last read.
  position INTEGER PRIMARY KEY,      -- from 1, in the order of the sheet
  id TEXT NOT NULL,                  -- the sheet's key
  email TEXT NOT NULL,               -- as written there
  address TEXT NOT NULL              -- normalised
);
CREATE INDEX leads_address ON leads (address);

CREATE TABLE actions (
  -- What is to be done, once for each key.
  number INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                -- hubspot_proposal, smartlead_removal, postcard, review, ...
  state TEXT NOT NULL,               -- pending, approved, claimed, done, failed, cancelled
  address TEXT,
  lead_id TEXT,
  event_id TEXT,
  arrival_id TEXT REFERENCES arrivals (id),
  payload TEXT NOT NULL,             -- a JSON object
  created_at TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 2,  -- 1 is first
  actor TEXT,                        -- who brought it into its state, if somebody did
  moved_at TEXT,                     -- when
  reason TEXT,                       -- why
  attempts INTEGER NOT NULL DEFAULT 0,  -- that failed
  next_attempt_at TEXT,
  last_error TEXT
);
CREATE INDEX actions_state ON actions (state, kind, priority, number);
CREATE INDEX actions_kind ON actions (kind, priority, number);
CREATE INDEX actions_open ON actions (address) WHERE state IN ('pending', 'approved', 'claimed');

CREATE TABLE sends (
  -- Messages that we know we sent, to compare bounces with: `bouncesink sends import`.
  message_id TEXT NOT NULL,          -- without angle brackets
  recipient TEXT NOT NULL,           -- normalised
  sent_at TEXT,
  campaign TEXT,
  mailbox TEXT,
  PRIMARY KEY (message_id, recipient)
);

CREATE TABLE troubles (
  -- What a part of the service has trouble with now; the line goes when the trouble does.
  part TEXT PRIMARY KEY NOT NULL,    -- engine, sheet, hubspot, ...
  text TEXT NOT NULL,
  since TEXT NOT NULL
);

CREATE TABLE counters (
  -- Kept by triggers, so that nobody has to count a table.
  name TEXT PRIMARY KEY NOT NULL,
  value INTEGER NOT NULL
);

CREATE TRIGGER arrivals_added AFTER INSERT ON arrivals BEGIN
  INSERT INTO counters VALUES ('arrivals.' || new.state, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER arrivals_settled AFTER UPDATE OF state, kind ON arrivals BEGIN
  UPDATE counters SET value = value - 1
    WHERE name IN ('arrivals.' || old.state, 'kinds.' || old.kind);
  INSERT INTO counters VALUES ('arrivals.' || new.state, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
  INSERT INTO counters SELECT 'kinds.' || new.kind, 1 WHERE new.kind IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER arrivals_removed AFTER DELETE ON arrivals BEGIN
  UPDATE counters SET value = value - 1
    WHERE name IN ('arrivals.' || old.state, 'kinds.' || old.kind);
END;

CREATE TRIGGER events_added AFTER INSERT ON events BEGIN
  INSERT INTO counters VALUES ('events', 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
  INSERT INTO counters SELECT 'severities.' || new.severity, 1 WHERE new.severity IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER events_removed AFTER DELETE ON events BEGIN
  UPDATE counters SET value = value - 1 WHERE name IN ('events', 'severities.' || old.severity);
END;

CREATE TRIGGER contacts_added AFTER INSERT ON contacts BEGIN
  INSERT INTO counters VALUES ('contacts', 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
  INSERT INTO counters SELECT 'suppressed', 1 WHERE NOT new.mailable
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER contacts_changed AFTER UPDATE OF mailable ON contacts
WHEN old.mailable <> new.mailable BEGIN
  INSERT INTO counters VALUES ('suppressed', old.mailable - new.mailable)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER contacts_removed AFTER DELETE ON contacts BEGIN
  UPDATE counters SET value = value - 1 WHERE name = 'contacts';
  UPDATE counters SET value = value - 1 WHERE name = 'suppressed' AND NOT old.mailable;
END;

CREATE TRIGGER leads_added AFTER INSERT ON leads BEGIN
  INSERT INTO counters VALUES ('leads', 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER leads_removed AFTER DELETE ON leads BEGIN
  UPDATE counters SET value = value - 1 WHERE name = 'leads';
END;

CREATE TRIGGER actions_added AFTER INSERT ON actions BEGIN
  INSERT INTO counters VALUES ('actions.' || new.kind || '.' || new.state, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER actions_moved AFTER UPDATE OF kind, state ON actions BEGIN
  UPDATE counters SET value = value - 1 WHERE name = 'actions.' || old.kind || '.' || old.state;
  INSERT INTO counters VALUES ('actions.' || new.kind || '.' || new.state, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER actions_removed AFTER DELETE ON actions BEGIN
  UPDATE counters SET value = value - 1 WHERE name = 'actions.' || old.kind || '.' || old.state;
END;

CREATE VIEW lead_details AS
-- The five columns of every lead. The date is in UTC here; the sheet has your time zone.
SELECT
  leads.id AS "LEAD ID",
  leads.email AS "EMAIL",
  substr(contacts.last_bounce_at, 1, 10) AS "EMAIL BOUNCE DATE",
  contacts.bounce_type AS "EMAIL BOUNCE TYPE",
  coalesce(contacts.bounce_count, 0) AS "BOUNCE COUNT",
  CASE WHEN contacts.mailable = 0 THEN 'FALSE' ELSE 'TRUE' END AS "EMAIL VALID",
  (
    SELECT group_concat(
      substr(json_extract(value, '$[0]'), 1, 10)
        || ':' || json_extract(value, '$[1]') || ':' || json_extract(value, '$[2]'),
      ' | '
    )
    FROM json_each(contacts.evidence)
  ) AS "BOUNCE EVIDENCE"
FROM leads LEFT JOIN contacts ON contacts.address = leads.address
ORDER BY leads.position;

CREATE VIEW hard_bounces AS
-- Addresses that are HARD, with the bounce that made them so; the latest first.
SELECT
  contacts.address, contacts.hard_since, contacts.bounce_count, contacts.mailable,
  events.category, events.status, events.reply_code, events.diagnostic, events.rule,
  events.message_id, events.campaign, events.trust,
  (
    SELECT group_concat(leads.id, ', ') FROM leads WHERE leads.address = contacts.address
  ) AS lead_ids
FROM contacts LEFT JOIN events ON events.id = contacts.hard_event
WHERE contacts.bounce_type = 'HARD'
ORDER BY contacts.hard_since DESC;

CREATE VIEW review AS
-- What waits for a person, with what the bounce said; by priority, then the oldest first.
SELECT
  actions.key, actions.created_at, coalesce(actions.address, events.address) AS address,
  events.category, events.severity, events.status, events.diagnostic, events.rule,
  events.trust, events.signals, events.message_id, actions.lead_id,
  arrivals.kind, arrivals.subject, arrivals.note, arrivals.damage, arrivals.id AS arrival_id,
  actions.payload
FROM actions
LEFT JOIN events ON events.id = actions.event_id
LEFT JOIN arrivals ON arrivals.id = coalesce(actions.arrival_id, events.arrival_id)
WHERE actions.kind = 'review' AND actions.state IN ('pending', 'approved', 'claimed')
ORDER BY actions.priority, actions.number;

CREATE VIEW daily AS
-- What came in on each day (UTC), by what it meant; the latest first.
SELECT
  substr(occurred_at, 1, 10) AS day,
  count(*) AS events,
  sum(severity = 'HARD') AS hard,
  sum(severity = 'SOFT') AS soft,
  sum(severity = 'BLOCK') AS block,
  sum(severity = 'UNKNOWN') AS unknown,
  sum(category = 'complaint') AS complaints,
  sum(category = 'unsubscribe') AS unsubscribes,
  count(DISTINCT address) AS addresses
FROM events WHERE severity IS NOT NULL
GROUP BY day ORDER BY day DESC;

CREATE VIEW by_domain AS
-- How each domain answers us; the most trouble first.
SELECT
  domain,
  count(*) AS events,
  sum(severity = 'HARD') AS hard,
  sum(severity = 'SOFT') AS soft,
  sum(severity = 'BLOCK') AS block,
  sum(severity = 'UNKNOWN') AS unknown,
  sum(category = 'complaint') AS complaints,
  count(DISTINCT address) AS addresses,
  max(occurred_at) AS last_at
FROM events WHERE severity IS NOT NULL
GROUP BY domain ORDER BY events DESC, domain;

CREATE VIEW by_campaign AS
-- What each campaign brought back; '' is mail that named none.
SELECT
  coalesce(campaign, '') AS campaign,
  count(*) AS events,
  sum(severity = 'HARD') AS hard,
  sum(severity = 'SOFT') AS soft,
  sum(severity = 'BLOCK') AS block,
  sum(category = 'complaint') AS complaints,
  sum(category = 'unsubscribe') AS unsubscribes,
  count(DISTINCT address) AS addresses,
  min(occurred_at) AS first_at,
  max(occurred_at) AS last_at
FROM events WHERE severity IS NOT NULL
GROUP BY coalesce(campaign, '') ORDER BY events DESC, 1;
