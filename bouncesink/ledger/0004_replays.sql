CREATE TABLE replays (
  -- How far each mbox or archive was replayed, so that what was stopped goes on there.
  id TEXT PRIMARY KEY NOT NULL,      -- a hash of its start (of an archive also its end and size)
  path TEXT NOT NULL,                -- where it was read last
  entry INTEGER NOT NULL,            -- of an archive, which of its files comes next; else 0
  offset INTEGER NOT NULL,           -- octets of that file that were read
  seam TEXT NOT NULL,                -- length and hash of the last of them: they must still be there
  mails INTEGER NOT NULL,            -- how many mails that were
  passed_over INTEGER NOT NULL,      -- those of them that no machine wrote, and that are not kept
  done INTEGER NOT NULL,             -- 1 when it was read to its end
  moved_at TEXT NOT NULL
);
