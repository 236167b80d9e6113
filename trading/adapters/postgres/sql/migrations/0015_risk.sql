-- Limits in force, breakers and deployments are control events; cancels count as messages; equity has its days.

ALTER TABLE trading.control_event
  DROP CONSTRAINT control_event_kind,
  ADD CONSTRAINT control_event_kind
    CHECK (kind IN (
      'halt_engaged', 'halt_released', 'override_refused', 'adopted', 'restored', 'halt_effective', 'halt_verified',
      'reduce_only_granted', 'override_signed', 'limits_applied', 'strategy_disabled', 'strategy_enabled', 'deployed'
    )),
  -- prevents limits that nobody can read again
  ADD CONSTRAINT control_event_limits CHECK (kind <> 'limits_applied' OR detail ? 'document');

-- Each of these is asked for before an order is sent: the newest, among all that ever happened.
CREATE INDEX control_event_switches ON trading.control_event (account, scope, event_id DESC)
  WHERE kind IN ('strategy_disabled', 'strategy_enabled');
CREATE INDEX control_event_limits_applied ON trading.control_event (account, event_id) WHERE kind = 'limits_applied';
CREATE INDEX control_event_deployed ON trading.control_event (event_id) WHERE kind = 'deployed';


CREATE TABLE trading.cancel_request (
  number           bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT cancel_request_key PRIMARY KEY,
  account          text         NOT NULL,
  client_order_id  text         NOT NULL,
  at               timestamptz  NOT NULL,
  run_id           text         NOT NULL,
  dag_id           text         NOT NULL,
  -- prevents a cancel of an order that is not the account's
  CONSTRAINT cancel_request_order
    FOREIGN KEY (client_order_id, account) REFERENCES trading.order_intent (client_order_id, account)
);

CREATE INDEX cancel_request_at ON trading.cancel_request (account, at);
CREATE INDEX cancel_request_by_run ON trading.cancel_request (run_id);

COMMENT ON TABLE trading.cancel_request IS 'Cancels that the venue was asked for, written before each: they count as messages.';

CREATE TRIGGER cancel_request_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.cancel_request
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.equity_day (
  account     text            NOT NULL CONSTRAINT equity_day_account REFERENCES trading.account,
  day         date            NOT NULL,  -- UTC
  scope       text            NOT NULL,
  at          timestamptz     NOT NULL,
  equity      trading.amount  NOT NULL,  -- quote
  index       trading.amount  NOT NULL,  -- what one unit of money has become, whatever was paid in or out
  day_index   trading.amount  NOT NULL,  -- when the day began
  high_index  trading.amount  NOT NULL,  -- at best
  position    bigint          NOT NULL,  -- the ledger's newest transaction that is in it
  run_id      text            NOT NULL,
  dag_id      text            NOT NULL,
  CONSTRAINT equity_day_key PRIMARY KEY (account, day, scope),
  CONSTRAINT equity_day_scope CHECK (scope ~ '^(account|strategy):.'),
  -- prevents a best that was never the best
  CONSTRAINT equity_day_indexes CHECK (index >= 0 AND day_index >= 0 AND high_index >= index AND high_index >= day_index)
);

COMMENT ON TABLE trading.equity_day IS
  'Equity of the account and of each strategy at the last closes, one row a UTC day: what loss limits are measured by.';
