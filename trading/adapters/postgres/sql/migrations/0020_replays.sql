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


-- Roles belong to the whole server: another database's migration may have made it, and may be making it now.
DO $$
BEGIN
  CREATE ROLE trading_replay NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
  WHEN insufficient_privilege THEN
    RAISE WARNING 'role trading_replay is missing and % may not create it: replays need it', CURRENT_USER;
END;
$$;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'trading_replay') THEN
    GRANT USAGE ON SCHEMA trading TO trading_replay;
    GRANT SELECT ON trading.candle, trading.candle_revision, trading.decision, trading.instrument
      TO trading_replay;
    GRANT SELECT, INSERT, UPDATE ON trading.run, trading.run_attempt TO trading_replay;
    GRANT SELECT, INSERT ON trading.replayed_decision TO trading_replay;
    IF NOT pg_has_role(CURRENT_USER, 'trading_replay', 'MEMBER') THEN
      GRANT trading_replay TO CURRENT_USER;
    END IF;
  END IF;
END;
$$;
