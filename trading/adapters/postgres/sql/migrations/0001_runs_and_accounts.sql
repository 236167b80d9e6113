-- Runs, accounts, and what every later table leans on.
-- Every row that a run writes carries its run_id, so that `trace` never needs Airflow's own tables.

CREATE DOMAIN trading.amount AS numeric
  -- prevents NaN, which compares as larger than everything, and infinities in money
  CONSTRAINT amount_is_finite CHECK (VALUE > '-Infinity' AND VALUE < 'Infinity');

COMMENT ON DOMAIN trading.amount IS 'An exact, finite amount of money or of something traded.';


CREATE FUNCTION trading.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only: expected INSERT, got %; write a correction as a new row', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END;
$$;

COMMENT ON FUNCTION trading.refuse_change() IS 'Trigger of append-only tables: refuses UPDATE, DELETE and TRUNCATE.';


CREATE TABLE trading.run (
  dag_id      text        NOT NULL,
  run_id      text        NOT NULL,
  flow        text        NOT NULL,
  run_type    text        NOT NULL,
  actor       text        NOT NULL,
  causes      text[]      NOT NULL,  -- ids of the runs whose asset events started this one
  started_at  timestamptz NOT NULL,  -- of the first attempt
  resumed_at  timestamptz NOT NULL,  -- of the newest attempt
  ended_at    timestamptz,
  outcome     text        NOT NULL,
  message     text        NOT NULL DEFAULT '',
  counts      jsonb       NOT NULL DEFAULT '{}',
  attempts    integer     NOT NULL DEFAULT 1,
  number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,  -- in the order in which they were noted
  -- prevents two histories of one run of a flow; run ids are unique per DAG only
  CONSTRAINT run_key PRIMARY KEY (dag_id, run_id, flow),
  -- prevents an outcome that no reader knows
  CONSTRAINT run_outcome CHECK (outcome IN ('running', 'done', 'skipped', 'failed')),
  -- prevents a run that ended and still runs
  CONSTRAINT run_ends_once CHECK ((outcome = 'running') = (ended_at IS NULL)),
  -- prevents counts that are no object of numbers by name
  CONSTRAINT run_counts CHECK (jsonb_typeof(counts) = 'object')
);

CREATE INDEX run_by_id ON trading.run (run_id);
CREATE INDEX run_by_start ON trading.run (started_at DESC);

COMMENT ON TABLE trading.run IS 'One invocation of a flow; a clear or a retry is another attempt of the same row.';


CREATE TABLE trading.run_attempt (
  dag_id      text        NOT NULL,
  run_id      text        NOT NULL,
  flow        text        NOT NULL,
  attempt     integer     NOT NULL,
  started_at  timestamptz NOT NULL,
  ended_at    timestamptz,
  outcome     text        NOT NULL,
  message     text        NOT NULL,
  counts      jsonb       NOT NULL,
  CONSTRAINT run_attempt_key PRIMARY KEY (dag_id, run_id, flow, attempt),
  -- prevents an attempt of a run that was never started
  CONSTRAINT run_attempt_run FOREIGN KEY (dag_id, run_id, flow) REFERENCES trading.run
);

COMMENT ON TABLE trading.run_attempt IS 'What earlier attempts of a run came to, kept when it starts again.';

CREATE TRIGGER run_attempt_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.run_attempt
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.account (
  account         text        CONSTRAINT account_key PRIMARY KEY,
  venue           text        NOT NULL,
  mode            text        NOT NULL,
  incarnation     integer     NOT NULL DEFAULT 1,
  epoch           bigint      NOT NULL DEFAULT 0,
  opened_at       timestamptz NOT NULL,
  run_id          text        NOT NULL,
  dag_id          text        NOT NULL,
  chain_sequence  bigint      NOT NULL DEFAULT 0,   -- order events in the audit chain
  chain_head      text        NOT NULL DEFAULT '',  -- hash of the newest one
  -- prevents an account that its own kill switch cannot name: * stands for all of them
  CONSTRAINT account_name CHECK (account <> '' AND account <> '*'),
  -- prevents a mode that nothing else knows
  CONSTRAINT account_mode CHECK (mode IN ('replay', 'paper', 'sandbox', 'live'))
);

COMMENT ON TABLE trading.account IS 'One set of venue credentials. Its row is the lock that senders take; epoch is the fencing token.';


CREATE FUNCTION trading.guard_account() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
  IF NEW.epoch < OLD.epoch OR NEW.incarnation < OLD.incarnation OR NEW.chain_sequence < OLD.chain_sequence
     OR NEW.account <> OLD.account THEN
    RAISE EXCEPTION 'account %: epoch, incarnation and chain only grow', OLD.account
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END;
$$;

-- prevents an old fencing epoch from becoming current again
CREATE TRIGGER account_only_grows
  BEFORE UPDATE ON trading.account
  FOR EACH ROW EXECUTE FUNCTION trading.guard_account();
