ALTER TABLE mined_messages ADD COLUMN owed /* 1: taken, to be marked or moved as configured */ INTEGER NOT NULL DEFAULT 0;
CREATE INDEX mined_messages_owed ON mined_messages (mailbox, folder) WHERE owed;
