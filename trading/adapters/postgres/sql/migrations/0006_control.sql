-- The kill switch: halts, releases, refusals, the lease, and the latch on Airflow's own pause.

CREATE TABLE trading.control_event (
  event_id     bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT control_event_key PRIMARY KEY,
  account      text         NOT NULL,  -- * stands for all of them
  kind         text         NOT NULL,
  scope        text         NOT NULL DEFAULT 'all',
  halt_id      bigint       CONSTRAINT control_event_halt REFERENCES trading.control_event,
  author       text         NOT NULL,
  reason       text         NOT NULL,
  at           timestamptz  NOT NULL,
  run_id       text         NOT NULL,
  dag_id       text         NOT NULL,
  detail       jsonb        NOT NULL DEFAULT '{}',
  token_id     text,  -- jti of the override that released
  key_id       text,
  recorded_at  timestamptz  NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT control_event_kind CHECK (kind IN ('halt_engaged', 'halt_released', 'override_refused')),
  -- prevents a release that names no halt, no token or no key
  CONSTRAINT control_event_release
    CHECK (kind <> 'halt_released' OR (halt_id IS NOT NULL AND token_id IS NOT NULL AND key_id IS NOT NULL)),
  -- prevents a token from being used twice
  CONSTRAINT control_event_token UNIQUE (token_id)
);

-- prevents two releases of one halt
CREATE UNIQUE INDEX control_event_released_once ON trading.control_event (halt_id) WHERE kind = 'halt_released';
-- prevents one person from signing twice where two must
CREATE UNIQUE INDEX control_event_person ON trading.control_event (halt_id, author) WHERE kind = 'halt_released';
-- prevents one key from signing twice where two must
CREATE UNIQUE INDEX control_event_by_key ON trading.control_event (halt_id, key_id) WHERE kind = 'halt_released';
CREATE INDEX control_event_engaged ON trading.control_event (account, event_id) WHERE kind = 'halt_engaged';

COMMENT ON TABLE trading.control_event IS 'Who stopped trading, who released it, which overrides were refused: append-only.';

CREATE TRIGGER control_event_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.control_event
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.control_chain (
  account         text         NOT NULL,
  chain_sequence  bigint       NOT NULL,
  event_id        bigint       NOT NULL CONSTRAINT control_chain_event REFERENCES trading.control_event,
  previous_hash   text         NOT NULL,
  hash            text         NOT NULL,
  -- prevents a fork of the chain
  CONSTRAINT control_chain_key PRIMARY KEY (account, chain_sequence),
  -- prevents an event from being chained twice
  CONSTRAINT control_chain_once UNIQUE (event_id)
);

COMMENT ON TABLE trading.control_chain IS
  'The audit chain of control events, written after them: whoever stops trading never waits for a chain''s head.';

CREATE TRIGGER control_chain_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.control_chain
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.lease (
  account     text         CONSTRAINT lease_key PRIMARY KEY,
  expires_at  timestamptz  NOT NULL,
  renewed_at  timestamptz  NOT NULL DEFAULT clock_timestamp(),
  run_id      text         NOT NULL,
  dag_id      text         NOT NULL
);

COMMENT ON TABLE trading.lease IS 'The dead man''s switch: with the lease expired, no entry is sent.';


CREATE FUNCTION trading.latch_kill_switch() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
  deed text := CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'paused' END;
BEGIN
  INSERT INTO trading.control_event (account, kind, author, reason, at, run_id, dag_id)
  VALUES ('*', 'halt_engaged', 'airflow:pause', format('the DAG kill_switch was %s', deed), now(), '', 'kill_switch');
  PERFORM pg_notify('trading_control', 'halt_engaged');
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The pause itself must go through whatever happens here: senders ask Airflow for it as well.
  RAISE WARNING 'the pause of kill_switch was not latched: %', SQLERRM;
  RETURN NULL;
END;
$$;

COMMENT ON FUNCTION trading.latch_kill_switch() IS
  'Trigger on Airflow''s dag table: pausing or deleting kill_switch engages a halt in the same transaction.';
