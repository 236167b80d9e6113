-- Alerts: the outbox that people are told from, and what the watcher reads to fill it.

CREATE TABLE trading.alert (
  number     bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT alert_key PRIMARY KEY,
  account    text         NOT NULL,
  kind       text         NOT NULL,
  subject    text         NOT NULL,  -- which halt, order, timeframe …; with the kind, what it is told once by
  at         timestamptz  NOT NULL,  -- when it happened
  sentence   text         NOT NULL,
  run_id     text         NOT NULL,
  raised_at  timestamptz  NOT NULL,
  ended_at   timestamptz,
  -- prevents a kind that no runbook explains
  CONSTRAINT alert_kind
    CHECK (kind IN (
      'halt_engaged', 'refused_key', 'lost_rows', 'discrepancy_confirmed', 'outcome_unknown', 'denial_burst',
      'strategy_disabled', 'stale_data', 'lease_expired', 'dag_failed', 'venue_away', 'disk_full', 'ledger_away'
    ))
);

-- prevents one thing from being told twice at a time
CREATE UNIQUE INDEX alert_stands_once ON trading.alert (account, kind, subject) WHERE ended_at IS NULL;
CREATE INDEX alert_by_time ON trading.alert (account, raised_at);

COMMENT ON TABLE trading.alert IS 'What a person should know of: raised once, ended when it stands no more.';


CREATE TABLE trading.alert_delivery (
  number    bigint       NOT NULL CONSTRAINT alert_delivery_alert REFERENCES trading.alert,
  channel   text         NOT NULL,  -- the name of the secret that holds its address, never the address
  is_over   boolean      NOT NULL,  -- of the end, not of the beginning
  attempts  integer      NOT NULL DEFAULT 1,
  tried_at  timestamptz  NOT NULL,
  problem   text         NOT NULL,  -- empty where the channel took it
  CONSTRAINT alert_delivery_key PRIMARY KEY (number, channel, is_over)
);

COMMENT ON TABLE trading.alert_delivery IS 'Whom an alert reached, and why not; at least once, since a crash may come between sending and noting it.';


-- What the watcher asks for each second: rare, so the index is tiny.
CREATE INDEX order_event_alarms ON trading.order_event (account, at) WHERE state IN ('outcome_unknown', 'denied');

ALTER TABLE trading.run
  ADD COLUMN trouble text NOT NULL DEFAULT '';  -- trading.errors.Trouble of what it failed with
