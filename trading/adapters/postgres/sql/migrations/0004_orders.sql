-- Orders: the durable wish, its life as events, and the checks before it. Events are the audit log.

CREATE TABLE trading.order_state (
  state    text     CONSTRAINT order_state_key PRIMARY KEY,
  is_open  boolean  NOT NULL  -- whether it may still change our position
);

COMMENT ON TABLE trading.order_state IS 'The states of an order; the same list as the domain''s, and a test compares them.';

INSERT INTO trading.order_state (state, is_open)
VALUES
  ('planned', true),
  ('superseded', false),
  ('expired', false),
  ('denied', false),
  ('submitting', true),
  ('rejected', false),
  ('outcome_unknown', true),
  ('never_accepted', false),
  ('accepted', true),
  ('partially_filled', true),
  ('filled', false),
  ('canceled', false),
  ('expired_at_venue', false);


CREATE TABLE trading.order_transition (
  before  text  NOT NULL CONSTRAINT order_transition_before REFERENCES trading.order_state,
  after   text  NOT NULL CONSTRAINT order_transition_after REFERENCES trading.order_state,
  CONSTRAINT order_transition_key PRIMARY KEY (before, after)
);

COMMENT ON TABLE trading.order_transition IS 'The only legal steps; the same list as the domain''s, and a test compares them.';

INSERT INTO trading.order_transition (before, after)
VALUES
  ('planned', 'superseded'),
  ('planned', 'expired'),
  ('planned', 'denied'),
  ('planned', 'submitting'),
  ('submitting', 'accepted'),
  ('submitting', 'rejected'),
  ('submitting', 'outcome_unknown'),
  ('outcome_unknown', 'accepted'),
  ('outcome_unknown', 'rejected'),
  ('outcome_unknown', 'never_accepted'),
  ('accepted', 'partially_filled'),
  ('accepted', 'filled'),
  ('accepted', 'canceled'),
  ('accepted', 'expired_at_venue'),
  ('partially_filled', 'partially_filled'),
  ('partially_filled', 'filled'),
  ('partially_filled', 'canceled'),
  ('partially_filled', 'expired_at_venue'),
  ('canceled', 'filled'),            -- a fill that arrived after the cancel
  ('never_accepted', 'accepted');    -- late evidence: halts

CREATE TRIGGER order_state_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.order_state
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();

CREATE TRIGGER order_transition_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.order_transition
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.order_intent (
  client_order_id  text           CONSTRAINT order_intent_key PRIMARY KEY,
  number           bigint         NOT NULL GENERATED ALWAYS AS IDENTITY,  -- in the order of planning
  account          text           NOT NULL CONSTRAINT order_intent_account REFERENCES trading.account,
  incarnation      integer        NOT NULL,
  strategy         text           NOT NULL,
  instrument       text           NOT NULL,
  timeframe        text           NOT NULL,
  as_of            timestamptz    NOT NULL,
  purpose          text           NOT NULL,
  generation       integer        NOT NULL,
  side             text           NOT NULL,
  order_type       text           NOT NULL,
  quantity         trading.amount NOT NULL,  -- base
  limit_price      trading.amount,           -- quote
  reference_price  trading.amount NOT NULL,  -- quote
  target_quantity  trading.amount NOT NULL,  -- the position that it serves, base
  planned_at       timestamptz    NOT NULL,
  expires_at       timestamptz    NOT NULL,
  run_id           text           NOT NULL,
  dag_id           text           NOT NULL,
  -- prevents two names of one wish
  CONSTRAINT order_intent_facts
    UNIQUE (account, strategy, as_of, instrument, incarnation, timeframe, purpose, generation),
  -- lets other tables name order and account together
  CONSTRAINT order_intent_of_account UNIQUE (client_order_id, account),
  CONSTRAINT order_intent_purpose CHECK (purpose IN ('entry', 'rebalance', 'protective', 'flatten')),
  CONSTRAINT order_intent_side CHECK (side IN ('buy', 'sell')),
  CONSTRAINT order_intent_type CHECK (order_type IN ('market', 'limit')),
  -- prevents an order for nothing
  CONSTRAINT order_intent_quantity CHECK (quantity > 0),
  -- prevents a limit order without a price, and a market order with one
  CONSTRAINT order_intent_price CHECK ((limit_price IS NOT NULL) = (order_type = 'limit'))
);

CREATE INDEX order_intent_by_number ON trading.order_intent (account, number);
CREATE INDEX order_intent_by_run ON trading.order_intent (run_id);

COMMENT ON TABLE trading.order_intent IS 'A durable wish, committed before its only POST under a name made of its facts.';

CREATE TRIGGER order_intent_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.order_intent
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.order_event (
  client_order_id  text         NOT NULL,
  sequence         integer      NOT NULL,
  account          text         NOT NULL,
  state            text         NOT NULL CONSTRAINT order_event_state REFERENCES trading.order_state,
  at               timestamptz  NOT NULL,
  run_id           text         NOT NULL,
  dag_id           text         NOT NULL,
  reason           text         NOT NULL,
  venue_order_id   text,
  signed_at        timestamptz,
  recv_window_ms   integer,
  request_hash     text,
  epoch            bigint,
  detail           jsonb        NOT NULL,
  code_version     text         NOT NULL,
  chain_sequence   bigint       NOT NULL,
  previous_hash    text         NOT NULL,
  hash             text         NOT NULL,
  recorded_at      timestamptz  NOT NULL DEFAULT clock_timestamp(),
  -- prevents two writers from both taking the next step of an order
  CONSTRAINT order_event_key PRIMARY KEY (client_order_id, sequence),
  -- prevents a fork of the account's audit chain
  CONSTRAINT order_event_chain UNIQUE (account, chain_sequence),
  -- prevents an event without an intent, or in another account's chain
  CONSTRAINT order_event_intent
    FOREIGN KEY (client_order_id, account) REFERENCES trading.order_intent (client_order_id, account),
  -- prevents a submission that cannot be fenced: the venue enforces signed_at and the window
  CONSTRAINT order_event_is_signed
    CHECK (state <> 'submitting' OR (signed_at IS NOT NULL AND COALESCE(recv_window_ms, 0) > 0 AND request_hash IS NOT NULL))
);

CREATE INDEX order_event_by_venue_order ON trading.order_event (account, venue_order_id) WHERE venue_order_id IS NOT NULL;
CREATE INDEX order_event_by_signature ON trading.order_event (account, signed_at) WHERE signed_at IS NOT NULL;
CREATE INDEX order_event_by_run ON trading.order_event (run_id);

COMMENT ON TABLE trading.order_event IS 'One step of an order''s life, append-only, hash-chained per account.';
COMMENT ON COLUMN trading.order_event.hash IS 'SHA-256 over the event''s facts and the hash before it.';


CREATE FUNCTION trading.check_order_event() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
  last record;
BEGIN
  SELECT sequence, state
    INTO last
    FROM trading.order_event
   WHERE client_order_id = NEW.client_order_id
   ORDER BY sequence DESC
   LIMIT 1;
  IF NOT FOUND THEN
    IF NEW.sequence <> 0 OR NEW.state <> 'planned' THEN
      RAISE EXCEPTION 'order %: expected its first event to be planned, numbered 0, got % numbered %',
        NEW.client_order_id, NEW.state, NEW.sequence
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  ELSIF NEW.sequence <> last.sequence + 1 THEN
    RAISE EXCEPTION 'order %: expected event %, got %', NEW.client_order_id, last.sequence + 1, NEW.sequence
      USING ERRCODE = 'integrity_constraint_violation';
  ELSIF NOT EXISTS (SELECT FROM trading.order_transition WHERE before = last.state AND after = NEW.state) THEN
    RAISE EXCEPTION 'order %: % may not become %', NEW.client_order_id, last.state, NEW.state
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

-- prevents illegal steps, gaps in the numbering and forks of the chain
CREATE TRIGGER order_event_is_legal
  BEFORE INSERT ON trading.order_event
  FOR EACH ROW EXECUTE FUNCTION trading.check_order_event();

CREATE TRIGGER order_event_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.order_event
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.order_open (
  client_order_id  text  CONSTRAINT order_open_key PRIMARY KEY CONSTRAINT order_open_intent REFERENCES trading.order_intent,
  account          text  NOT NULL
);

COMMENT ON TABLE trading.order_open IS 'An index that a trigger keeps: orders that are not terminal. Nothing in it is not in order_event.';


CREATE FUNCTION trading.index_open_order() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
  IF (SELECT is_open FROM trading.order_state WHERE state = NEW.state) THEN
    INSERT INTO trading.order_open (client_order_id, account)
    VALUES (NEW.client_order_id, NEW.account)
    ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM trading.order_open
     WHERE client_order_id = NEW.client_order_id;
  END IF;
  RETURN NULL;
END;
$$;

CREATE TRIGGER order_event_indexes_open_orders
  AFTER INSERT ON trading.order_event
  FOR EACH ROW EXECUTE FUNCTION trading.index_open_order();


CREATE TABLE trading.plan_line (
  number           bigint         GENERATED ALWAYS AS IDENTITY CONSTRAINT plan_line_key PRIMARY KEY,
  account          text           NOT NULL CONSTRAINT plan_line_account REFERENCES trading.account,
  strategy         text           NOT NULL,
  instrument       text           NOT NULL,
  as_of            timestamptz,
  outcome          text           NOT NULL,
  weight           trading.amount NOT NULL,
  target_quantity  trading.amount NOT NULL,
  held             trading.amount NOT NULL,
  on_its_way       trading.amount NOT NULL,
  delta            trading.amount NOT NULL,
  client_order_id  text           NOT NULL,  -- empty where it led to no order
  run_id           text           NOT NULL,
  dag_id           text           NOT NULL
);

CREATE INDEX plan_line_by_run ON trading.plan_line (run_id, number);

COMMENT ON TABLE trading.plan_line IS 'Why an instrument did or did not lead to an order, at each planning.';

CREATE TRIGGER plan_line_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.plan_line
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.order_check (
  number           bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT order_check_key PRIMARY KEY,
  client_order_id  text         NOT NULL CONSTRAINT order_check_intent REFERENCES trading.order_intent,
  verdict          text         NOT NULL,
  codes            text[]       NOT NULL,
  figures          jsonb        NOT NULL,
  at               timestamptz  NOT NULL,
  run_id           text         NOT NULL,
  dag_id           text         NOT NULL,
  CONSTRAINT order_check_verdict CHECK (verdict IN ('allowed', 'deferred', 'denied')),
  -- prevents a refusal that gives no reason
  CONSTRAINT order_check_codes CHECK (verdict = 'allowed' OR cardinality(codes) > 0)
);

CREATE INDEX order_check_of ON trading.order_check (client_order_id, number);

COMMENT ON TABLE trading.order_check IS 'What the pre-trade checks said of an order, with the figures; kept when it changes.';

CREATE TRIGGER order_check_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.order_check
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();
