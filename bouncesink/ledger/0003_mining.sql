CREATE TABLE mined_folders (
  -- How far each folder of a mailbox has been read over IMAP.
  mailbox TEXT NOT NULL,             -- the address of the mailbox
  folder TEXT NOT NULL,
  uidvalidity INTEGER NOT NULL,      -- what last_uid is good for (RFC 3501, section 2.3.1.1)
  last_uid INTEGER NOT NULL,         -- every message up to this one has been looked at
  mined_at TEXT,                     -- when it was last read to its end; null: not yet
  PRIMARY KEY (mailbox, folder)
);

CREATE TABLE mined_messages (
  -- The messages that were looked at lately, so that none is fetched twice. Nothing of what they
  -- say is here.
  mailbox TEXT NOT NULL,
  folder TEXT NOT NULL,
  uid INTEGER NOT NULL,
  gmail_id TEXT,                     -- X-GM-MSGID: the same message under another label has it too
  received_at TEXT NOT NULL,         -- when the mailbox received it
  problem TEXT,                      -- why it could not be fetched; it is tried again. null: done
  PRIMARY KEY (mailbox, folder, uid)
);
CREATE INDEX mined_messages_problem ON mined_messages (mailbox, folder) WHERE problem IS NOT NULL;
CREATE INDEX mined_messages_gmail_id ON mined_messages (mailbox, gmail_id)
  WHERE gmail_id IS NOT NULL;
