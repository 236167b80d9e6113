-- Fills and the double-entry ledger. Entries are immutable; a correction is a new transaction.

CREATE TABLE trading.fill (
  account          text           NOT NULL,
  venue            text           NOT NULL,
  instrument       text           NOT NULL,
  venue_fill_id    text           NOT NULL,
  venue_order_id   text           NOT NULL,
  client_order_id  text           NOT NULL,
  side             text           NOT NULL,
  price            trading.amount NOT NULL,  -- quote
  quantity         trading.amount NOT NULL,  -- base
  fee              trading.amount NOT NULL,
  fee_currency     text           NOT NULL,
  filled_at        timestamptz    NOT NULL,
  is_maker         boolean        NOT NULL,
  run_id           text           NOT NULL,
  dag_id           text           NOT NULL,
  recorded_at      timestamptz    NOT NULL DEFAULT clock_timestamp(),
  -- prevents an execution from counting twice; the account is in it because a venue numbers its paper and real desks alike
  CONSTRAINT fill_key PRIMARY KEY (account, venue, instrument, venue_fill_id),
  -- prevents a fill of an order that is not ours, or of another account's
  CONSTRAINT fill_order
    FOREIGN KEY (client_order_id, account) REFERENCES trading.order_intent (client_order_id, account),
  CONSTRAINT fill_side CHECK (side IN ('buy', 'sell')),
  -- prevents an execution of nothing, or for nothing
  CONSTRAINT fill_figures CHECK (price > 0 AND quantity > 0)
);

CREATE INDEX fill_of_order ON trading.fill (client_order_id);
CREATE INDEX fill_by_time ON trading.fill (account, instrument, filled_at);
CREATE INDEX fill_by_run ON trading.fill (run_id);

COMMENT ON TABLE trading.fill IS 'The venue''s executions of our orders, each once.';

CREATE TRIGGER fill_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.fill
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.position_fold (
  account         text           NOT NULL,
  strategy        text           NOT NULL,
  instrument      text           NOT NULL,
  quantity        trading.amount NOT NULL,  -- base
  cost            trading.amount NOT NULL,  -- quote
  realised        trading.amount NOT NULL,  -- quote
  newest_fill_at  timestamptz    NOT NULL,
  newest_fill_id  text           NOT NULL,
  CONSTRAINT position_fold_key PRIMARY KEY (account, strategy, instrument)
);

COMMENT ON TABLE trading.position_fold IS
  'The fold of a place''s fills so far, kept beside them so that nobody reads them all before each order; a test refolds.';


CREATE TABLE trading.ledger_transaction (
  transaction_id  bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT ledger_transaction_key PRIMARY KEY,
  account         text         NOT NULL CONSTRAINT ledger_transaction_account REFERENCES trading.account,
  kind            text         NOT NULL,
  reference       text         NOT NULL,
  occurred_at     timestamptz  NOT NULL,
  run_id          text         NOT NULL,
  dag_id          text         NOT NULL,
  recorded_at     timestamptz  NOT NULL DEFAULT clock_timestamp(),
  -- prevents posting one thing twice
  CONSTRAINT ledger_transaction_once UNIQUE (account, reference)
);

CREATE INDEX ledger_transaction_by_run ON trading.ledger_transaction (run_id);

COMMENT ON TABLE trading.ledger_transaction IS 'A balanced set of entries.';


CREATE TABLE trading.ledger_entry (
  transaction_id  bigint         NOT NULL CONSTRAINT ledger_entry_transaction REFERENCES trading.ledger_transaction,
  leg             integer        NOT NULL,
  account         text           NOT NULL,
  sub_account     text           NOT NULL,
  category        text           NOT NULL,
  currency        text           NOT NULL,
  amount          trading.amount NOT NULL,
  CONSTRAINT ledger_entry_key PRIMARY KEY (transaction_id, leg),
  -- prevents a leg that stands for nothing that we know
  CONSTRAINT ledger_entry_category CHECK (category IN ('asset', 'conversion', 'fee', 'capital'))
);

-- Answers balances without reading the table.
CREATE INDEX ledger_entry_assets
  ON trading.ledger_entry (account, sub_account, currency) INCLUDE (amount) WHERE category = 'asset';

COMMENT ON TABLE trading.ledger_entry IS 'One leg in one currency. Only asset legs are money that the venue holds for us.';


CREATE FUNCTION trading.check_balanced() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
  wrong text;
BEGIN
  SELECT string_agg(format('%s %s', total, currency), ', ')
    INTO wrong
    FROM (
      SELECT currency, sum(amount) AS total
        FROM trading.ledger_entry
       WHERE transaction_id = NEW.transaction_id
       GROUP BY currency
    ) AS totals
   WHERE total <> 0;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION 'ledger transaction %: expected sums of zero, got %', NEW.transaction_id, wrong
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NOT EXISTS (SELECT FROM trading.ledger_entry WHERE transaction_id = NEW.transaction_id) THEN
    RAISE EXCEPTION 'ledger transaction %: expected entries, got none', NEW.transaction_id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END;
$$;

-- prevents a transaction without entries
CREATE CONSTRAINT TRIGGER ledger_transaction_has_entries
  AFTER INSERT ON trading.ledger_transaction
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION trading.check_balanced();

-- prevents money from appearing or vanishing: per transaction and currency the legs sum to zero
CREATE CONSTRAINT TRIGGER ledger_entry_is_balanced
  AFTER INSERT ON trading.ledger_entry
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION trading.check_balanced();

CREATE TRIGGER ledger_transaction_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.ledger_transaction
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();

CREATE TRIGGER ledger_entry_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.ledger_entry
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.reconciliation (
  number          bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT reconciliation_key PRIMARY KEY,
  account         text         NOT NULL,
  at              timestamptz  NOT NULL,
  compared        boolean      NOT NULL,
  clean           boolean      NOT NULL,
  unknown_orders  integer      NOT NULL,
  discrepancies   integer      NOT NULL,
  run_id          text         NOT NULL,
  dag_id          text         NOT NULL,
  -- prevents a clean bill that the figures deny
  CONSTRAINT reconciliation_clean CHECK (clean = (compared AND discrepancies = 0 AND unknown_orders = 0))
);

CREATE INDEX reconciliation_clean_at ON trading.reconciliation (account, at DESC) WHERE clean;

COMMENT ON TABLE trading.reconciliation IS 'Comparisons of our books with the venue''s.';


CREATE TABLE trading.discrepancy (
  number         bigint         GENERATED ALWAYS AS IDENTITY CONSTRAINT discrepancy_key PRIMARY KEY,
  account        text           NOT NULL,
  kind           text           NOT NULL,
  key            text           NOT NULL,  -- the currency, order or fill
  ours           trading.amount NOT NULL,
  theirs         trading.amount NOT NULL,
  first_seen_at  timestamptz    NOT NULL,
  last_seen_at   timestamptz    NOT NULL,
  confirmed      boolean        NOT NULL,  -- it outlived the visibility lag
  resolved_at    timestamptz,
  run_id         text           NOT NULL,  -- the run that saw it last
  dag_id         text           NOT NULL,
  CONSTRAINT discrepancy_kind
    CHECK (kind IN ('balance', 'external_order', 'external_fill', 'overfill', 'late_acceptance'))
);

-- prevents one disagreement from being open twice
CREATE UNIQUE INDEX discrepancy_open ON trading.discrepancy (account, kind, key) WHERE resolved_at IS NULL;

COMMENT ON TABLE trading.discrepancy IS 'Where ledger and venue disagree, from first sight to resolution.';
