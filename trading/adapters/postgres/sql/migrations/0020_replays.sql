-- Replays: what would have been decided, kept apart, by a role that can insert neither decisions nor intents.

CREATE TABLE trading.replayed_decision (
  dag_id       text        NOT NULL,
  run_id       text        NOT NULL,
  strategy     text        NOT NULL,
  as_of        timestamptz NOT NULL,
  timeframe    text        NOT NULL,
  status       text        NOT NULL,
  weights      jsonb       NOT NULL,  -- symbol → share of the strategy's equity, exact, as text
  verdict      text        NOT NULL,
  explanation  text        NOT NULL,
  -- prevents two answers of one run about one instant
  CONSTRAINT replayed_decision_key PRIMARY KEY (dag_id, run_id, strategy, as_of),
  -- prevents a status that nothing else knows
  CONSTRAINT replayed_decision_status CHECK (status IN ('decided', 'no_signal')),
  -- prevents a verdict that nothing else knows
  CONSTRAINT replayed_decision_verdict CHECK (verdict IN ('same', 'restated', 'not_decided', 'differs'))
);

COMMENT ON TABLE trading.replayed_decision IS 'What a replay would have decided, and how that compares with what was.';

CREATE TRIGGER replayed_decision_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.replayed_decision
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();
