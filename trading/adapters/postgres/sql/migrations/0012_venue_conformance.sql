-- Tests of venues: what `trading doctor --venue` found, and what an order in sandbox or live rests on.

CREATE TABLE trading.venue_conformance (
  number        bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT venue_conformance_key PRIMARY KEY,
  venue         text         NOT NULL,
  target        text         NOT NULL,
  address       text         NOT NULL,
  at            timestamptz  NOT NULL,
  code_version  text         NOT NULL,
  ccxt_version  text         NOT NULL,
  passed        boolean      NOT NULL,
  steps         jsonb        NOT NULL,  -- [[name, verdict, what was seen], …] in the order in which they were tried
  run_id        text         NOT NULL,
  dag_id        text         NOT NULL,
  recorded_at   timestamptz  NOT NULL DEFAULT clock_timestamp(),
  -- prevents a test that ran where orders cost money
  CONSTRAINT venue_conformance_target CHECK (target IN ('paper', 'sandbox')),
  -- prevents a test without steps, which would have passed nothing
  CONSTRAINT venue_conformance_steps CHECK (jsonb_typeof(steps) = 'array' AND jsonb_array_length(steps) > 0)
);

CREATE INDEX venue_conformance_newest ON trading.venue_conformance (venue, target, number);
CREATE INDEX venue_conformance_by_run ON trading.venue_conformance (run_id);

COMMENT ON TABLE trading.venue_conformance IS
  'Tests of venues, append-only: the newest one on the sandbox decides whether orders may go there.';

CREATE TRIGGER venue_conformance_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.venue_conformance
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();
