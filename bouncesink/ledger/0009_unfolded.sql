CREATE TABLE unfolded (
  -- Addresses with events that their contact does not show yet: floods are folded now and then.
  address TEXT PRIMARY KEY NOT NULL
);
