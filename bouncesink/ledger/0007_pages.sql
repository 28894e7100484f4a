CREATE INDEX events_severity ON events (severity, number) WHERE severity IS NOT NULL;
CREATE INDEX events_category ON events (category, number) WHERE category IS NOT NULL;
CREATE INDEX events_campaign ON events (campaign, number) WHERE campaign IS NOT NULL;
CREATE INDEX events_domain ON events (domain, number);
CREATE INDEX events_rule ON events (rule, number) WHERE rule IS NOT NULL;
CREATE INDEX events_day ON events (substr(occurred_at, 1, 10), severity)
  WHERE severity IN ('HARD', 'SOFT', 'BLOCK', 'UNKNOWN');
CREATE INDEX events_gate ON events (address)
  WHERE (kind IN ('suppress', 'unsuppress', 'confirm', 'dismiss', 'feedback', 'unsubscribe')
  OR category IN ('complaint', 'unsubscribe'));
CREATE INDEX events_failures ON events (
  occurred_at, severity, trust, category, rule, campaign, sender, subject, domain, remote_mta,
  address, message_id
) WHERE kind = 'failure' AND severity IN ('HARD', 'SOFT', 'BLOCK');
CREATE INDEX contacts_reasons ON contacts (address, suppressed) WHERE mailable = 0;
DROP INDEX contacts_suppressed;
