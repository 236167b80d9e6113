-- Running folds of orders and balances: both are asked before each order is sent, and must not cost more each year.
-- While they are filled nothing may be written that the triggers would not carry on.
LOCK TABLE trading.order_event, trading.ledger_entry IN SHARE ROW EXCLUSIVE MODE;


CREATE TABLE trading.order_fold (
  client_order_id  text         CONSTRAINT order_fold_key PRIMARY KEY,
  account          text         NOT NULL,
  is_open          boolean      NOT NULL,
  state            text         NOT NULL,
  sequence         integer      NOT NULL,
  changed_at       timestamptz  NOT NULL,
  venue_order_id   text,
  signed_at        timestamptz,
  recv_window_ms   integer,
  request_hash     text,
  reason           text         NOT NULL,
  -- prevents a fold of an order that nobody wished for
  CONSTRAINT order_fold_intent
    FOREIGN KEY (client_order_id, account) REFERENCES trading.order_intent (client_order_id, account)
);

CREATE INDEX order_fold_open ON trading.order_fold (account) WHERE is_open;

COMMENT ON TABLE trading.order_fold IS
  'Each order as its events tell it so far, kept by a trigger; nothing in it is not in order_event, and a test folds anew.';

INSERT INTO trading.order_fold (
  client_order_id, account, is_open, state, sequence, changed_at, venue_order_id, signed_at, recv_window_ms, request_hash,
  reason
)
SELECT client_order_id, account, is_open, state, sequence, changed_at, venue_order_id, signed_at, recv_window_ms,
       request_hash, reason
  FROM trading.order_current
  JOIN trading.order_state USING (state);


CREATE FUNCTION trading.fold_order_event() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
  stays_open boolean := (SELECT is_open FROM trading.order_state WHERE state = NEW.state);
BEGIN
  IF NEW.sequence = 0 THEN
    -- the event that planned it states no other fact
    INSERT INTO trading.order_fold (client_order_id, account, is_open, state, sequence, changed_at, reason)
    VALUES (NEW.client_order_id, NEW.account, stays_open, NEW.state, NEW.sequence, NEW.at, '');
  ELSE
    -- the newest word on each fact
    UPDATE trading.order_fold
       SET is_open = stays_open,
           state = NEW.state,
           sequence = NEW.sequence,
           changed_at = NEW.at,
           venue_order_id = COALESCE(NULLIF(NEW.venue_order_id, ''), venue_order_id),
           signed_at = COALESCE(NEW.signed_at, signed_at),
           recv_window_ms = COALESCE(NULLIF(NEW.recv_window_ms, 0), recv_window_ms),
           request_hash = COALESCE(NULLIF(NEW.request_hash, ''), request_hash),
           reason = COALESCE(NULLIF(NEW.reason, ''), reason)
     WHERE client_order_id = NEW.client_order_id;
  END IF;
  RETURN NULL;
END;
$$;

CREATE TRIGGER order_event_is_folded
  AFTER INSERT ON trading.order_event
  FOR EACH ROW EXECUTE FUNCTION trading.fold_order_event();

DROP TRIGGER order_event_indexes_open_orders ON trading.order_event;
DROP FUNCTION trading.index_open_order();
DROP TABLE trading.order_open;

CREATE OR REPLACE VIEW trading.order_current AS
SELECT intent.*,
       fold.state,
       fold.sequence,
       fold.changed_at,
       fold.venue_order_id,
       fold.signed_at,
       fold.recv_window_ms,
       fold.request_hash,
       fold.reason,
       filled.quantity AS filled_quantity
  FROM trading.order_intent AS intent
  JOIN trading.order_fold AS fold USING (client_order_id)
 CROSS JOIN LATERAL (
   SELECT COALESCE(sum(fill.quantity), 0) AS quantity
     FROM trading.fill
    WHERE fill.client_order_id = intent.client_order_id
 ) AS filled;


CREATE TABLE trading.balance_fold (
  account      text           NOT NULL,
  sub_account  text           NOT NULL,
  currency     text           NOT NULL,
  amount       trading.amount NOT NULL,
  CONSTRAINT balance_fold_key PRIMARY KEY (account, sub_account, currency)
);

COMMENT ON TABLE trading.balance_fold IS
  'The sums of the asset legs so far, kept by a trigger; nothing in it is not in ledger_entry, and a test adds them up.';


CREATE FUNCTION trading.fold_balances() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
  -- In one order, so that two writers wait for each other and never in a circle.
  INSERT INTO trading.balance_fold AS fold (account, sub_account, currency, amount)
  SELECT account, sub_account, currency, sum(amount)
    FROM posted
   WHERE category = 'asset'
   GROUP BY account, sub_account, currency
   ORDER BY account, sub_account, currency
  ON CONFLICT (account, sub_account, currency) DO UPDATE
     SET amount = fold.amount + excluded.amount;
  RETURN NULL;
END;
$$;

INSERT INTO trading.balance_fold (account, sub_account, currency, amount)
SELECT account, sub_account, currency, amount
  FROM trading.balance;

CREATE TRIGGER ledger_entry_is_folded
  AFTER INSERT ON trading.ledger_entry
  REFERENCING NEW TABLE AS posted
  FOR EACH STATEMENT EXECUTE FUNCTION trading.fold_balances();
