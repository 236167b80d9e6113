-- What a send asks and writes costs the same however many orders there were, and half as many statements in triggers.
-- While the folds are completed nothing may be written that the trigger would not carry on.
LOCK TABLE trading.order_event IN SHARE ROW EXCLUSIVE MODE;


-- What the rates count by, beside the signature, so that nobody joins each order of the last minutes to its intent.
ALTER TABLE trading.order_fold
  ADD COLUMN strategy text,
  ADD COLUMN instrument text,
  ADD COLUMN side text,
  ADD COLUMN quantity trading.amount;  -- base

UPDATE trading.order_fold AS fold
   SET strategy = intent.strategy,
       instrument = intent.instrument,
       side = intent.side,
       quantity = intent.quantity
  FROM trading.order_intent AS intent
 WHERE intent.client_order_id = fold.client_order_id;

ALTER TABLE trading.order_fold
  ALTER COLUMN strategy SET NOT NULL,
  ALTER COLUMN instrument SET NOT NULL,
  ALTER COLUMN side SET NOT NULL,
  ALTER COLUMN quantity SET NOT NULL;

CREATE INDEX order_fold_signed ON trading.order_fold (account, signed_at) WHERE signed_at IS NOT NULL;
DROP INDEX trading.order_event_by_signature;

COMMENT ON TABLE trading.order_fold IS
  'Each order as its intent and its events tell it so far, kept by a trigger; a test folds anew.';


CREATE FUNCTION trading.apply_order_event() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  last record;
BEGIN
  IF NEW.sequence = 0 AND NEW.state = 'planned' THEN
    -- the event that planned it states no other fact
    INSERT INTO trading.order_fold (
      client_order_id, account, is_open, state, sequence, changed_at, reason, strategy, instrument, side, quantity
    )
    SELECT client_order_id, account, true, NEW.state, 0, NEW.at, '', strategy, instrument, side, quantity
      FROM trading.order_intent
     WHERE client_order_id = NEW.client_order_id
       AND account = NEW.account
    ON CONFLICT DO NOTHING;
  ELSE
    -- the newest word on each fact, where the step is legal
    UPDATE trading.order_fold AS fold
       SET is_open = becomes.is_open,
           state = NEW.state,
           sequence = NEW.sequence,
           changed_at = NEW.at,
           venue_order_id = COALESCE(NULLIF(NEW.venue_order_id, ''), fold.venue_order_id),
           signed_at = COALESCE(NEW.signed_at, fold.signed_at),
           recv_window_ms = COALESCE(NULLIF(NEW.recv_window_ms, 0), fold.recv_window_ms),
           request_hash = COALESCE(NULLIF(NEW.request_hash, ''), fold.request_hash),
           reason = COALESCE(NULLIF(NEW.reason, ''), fold.reason)
      FROM trading.order_transition AS step
      JOIN trading.order_state AS becomes ON becomes.state = step.after
     WHERE fold.client_order_id = NEW.client_order_id
       AND fold.account = NEW.account
       AND fold.sequence = NEW.sequence - 1
       AND step.before = fold.state
       AND step.after = NEW.state;
  END IF;
  IF NOT FOUND THEN
    SELECT account, sequence, state
      INTO last
      FROM trading.order_fold
     WHERE client_order_id = NEW.client_order_id;
    RAISE EXCEPTION '%', CASE
        WHEN last.sequence IS NULL THEN format(
          'order %s: expected an intent of account %s and its first event to be planned, numbered 0, got %s numbered %s',
          NEW.client_order_id, NEW.account, NEW.state, NEW.sequence
        )
        WHEN last.account <> NEW.account THEN format(
          'order %s: expected an event of account %s, got one of %s', NEW.client_order_id, last.account, NEW.account
        )
        WHEN last.sequence + 1 <> NEW.sequence THEN format(
          'order %s: expected event %s, got %s', NEW.client_order_id, last.sequence + 1, NEW.sequence
        )
        ELSE format('order %s: %s may not become %s', NEW.client_order_id, last.state, NEW.state)
      END
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  UPDATE trading.account
     SET chain_sequence = NEW.chain_sequence,
         chain_head = NEW.hash
   WHERE account = NEW.account
     AND chain_sequence = NEW.chain_sequence - 1
     AND chain_head = NEW.previous_hash;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'order %: event % does not continue the audit chain of account %',
      NEW.client_order_id, NEW.sequence, NEW.account
      USING ERRCODE = 'integrity_constraint_violation',
            HINT = 'lock the account first';
  END IF;
  RETURN NEW;
END;
$$;

COMMENT ON FUNCTION trading.apply_order_event() IS
  'Trigger of order_event: refuses illegal steps, folds legal ones, and moves the head of the account''s chain.';

-- prevents a trigger on somebody's temporary table from running this with the owner's rights
REVOKE ALL ON FUNCTION trading.apply_order_event() FROM PUBLIC;

DROP TRIGGER order_event_is_folded ON trading.order_event;
DROP TRIGGER order_event_is_legal ON trading.order_event;
DROP FUNCTION trading.fold_order_event();
DROP FUNCTION trading.check_order_event();

-- prevents illegal steps, events without an intent, gaps in the numbering and forks of the chain
CREATE TRIGGER order_event_is_legal
  BEFORE INSERT ON trading.order_event
  FOR EACH ROW EXECUTE FUNCTION trading.apply_order_event();

-- The trigger says so already: only legal states follow each other, and only an intent of the account has a fold. As
-- foreign keys they lock rows for each event, one of them the same row for all accounts.
ALTER TABLE trading.order_event
  DROP CONSTRAINT order_event_state,
  DROP CONSTRAINT order_event_intent;


-- prevents an old fencing epoch from becoming current again; asked before the function, which only says why
CREATE OR REPLACE TRIGGER account_only_grows
  BEFORE UPDATE ON trading.account
  FOR EACH ROW
  WHEN (
    NEW.epoch < OLD.epoch OR NEW.incarnation < OLD.incarnation OR NEW.chain_sequence < OLD.chain_sequence
    OR NEW.account <> OLD.account
  )
  EXECUTE FUNCTION trading.guard_account();
