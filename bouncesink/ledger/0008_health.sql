CREATE TABLE beats (
  -- When a part of the service was last seen to have done its work; told about once a minute.
  part TEXT PRIMARY KEY NOT NULL,    -- service, sheet
  at TEXT NOT NULL
);
