CREATE TABLE send_counts (
  -- How many messages went out on a day, where nothing tells of each of them.
  day TEXT NOT NULL,                 -- UTC, as in 2026-01-31
  campaign TEXT NOT NULL DEFAULT '', -- '' is not known, here and below
  mailbox TEXT NOT NULL DEFAULT '',  -- the address that it was sent from
  domain TEXT NOT NULL DEFAULT '',   -- of the recipients
  sent INTEGER NOT NULL,
  PRIMARY KEY (day, campaign, mailbox, domain)
);

CREATE INDEX sends_sent_at ON sends (sent_at, campaign, mailbox, recipient)
  WHERE sent_at IS NOT NULL;
CREATE INDEX sends_domain ON sends (substr(recipient, instr(recipient, '@') + 1), recipient);
