-- Decisions: the first one for an as_of wins, and nothing changes it.

CREATE TABLE trading.decision (
  strategy    text        NOT NULL,
  as_of       timestamptz NOT NULL,
  timeframe   text        NOT NULL,
  status      text        NOT NULL,
  weights     jsonb       NOT NULL,  -- symbol → share of the strategy's equity, exact, as text
  input_hash  text        NOT NULL,
  decided_at  timestamptz NOT NULL,
  reason      text        NOT NULL,
  detail      jsonb       NOT NULL,
  run_id      text        NOT NULL,
  dag_id      text        NOT NULL,
  number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,  -- in the order in which they were stored
  -- prevents a second decision about one instant
  CONSTRAINT decision_key PRIMARY KEY (strategy, as_of),
  -- prevents a status that nothing else knows
  CONSTRAINT decision_status CHECK (status IN ('decided', 'no_signal', 'missed')),
  -- prevents weights that are no object by symbol
  CONSTRAINT decision_weights CHECK (jsonb_typeof(weights) = 'object'),
  -- prevents a decision that was made before what it knows about
  CONSTRAINT decision_after_as_of CHECK (decided_at >= as_of)
);

CREATE INDEX decision_by_run ON trading.decision (run_id);

COMMENT ON TABLE trading.decision IS 'A strategy''s target weights at as_of, with a hash of its inputs.';


CREATE TABLE trading.decision_revision (
  strategy    text        NOT NULL,
  as_of       timestamptz NOT NULL,
  number      integer     NOT NULL,
  timeframe   text        NOT NULL,
  status      text        NOT NULL,
  weights     jsonb       NOT NULL,
  input_hash  text        NOT NULL,
  decided_at  timestamptz NOT NULL,
  reason      text        NOT NULL,
  detail      jsonb       NOT NULL,
  run_id      text        NOT NULL,
  dag_id      text        NOT NULL,
  CONSTRAINT decision_revision_key PRIMARY KEY (strategy, as_of, number),
  -- prevents a revision of a decision that was never made
  CONSTRAINT decision_revision_of FOREIGN KEY (strategy, as_of) REFERENCES trading.decision
);

-- prevents the same difference from being kept at every run
CREATE UNIQUE INDEX decision_revision_once
  ON trading.decision_revision (strategy, as_of, timeframe, status, input_hash, md5(weights::text));

COMMENT ON TABLE trading.decision_revision IS 'Recomputations that differ from the decision that won; they change nothing.';

CREATE TRIGGER decision_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.decision
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();

CREATE TRIGGER decision_revision_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.decision_revision
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();
