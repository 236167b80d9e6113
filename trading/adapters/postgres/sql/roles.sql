-- Who may do what in the ledger. Applied after each migration, as a whole: what is not in the list is not granted.
--
-- trading_app     the flows: they add to the append-only tables, and can change or remove nothing there
-- trading_reader  reads everything, writes nothing
-- trading_replay  reads what decisions are made of, and adds what a replay found; it can neither decide nor trade
--
-- Whoever migrates owns the tables. Where that user may not create roles, a warning says so, and the flows write as it.

DO $$
DECLARE
  line record;
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['trading_app', 'trading_reader', 'trading_replay'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
      END IF;
      IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
      END IF;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN
        NULL;  -- a migration of another database on this server was first
      WHEN insufficient_privilege THEN
        RAISE WARNING 'the role % cannot be given to %: % (let an administrator create and grant it, and migrate again)',
          wanted, current_user, SQLERRM;
    END;
  END LOOP;

  FOR line IN
    SELECT grantee, rights, table_name
      FROM (
        VALUES
          -- append-only
          ('trading_app', 'SELECT, INSERT', ARRAY[
            'acknowledgement', 'cancel_request', 'candle_quarantine', 'control_chain', 'control_event', 'decision', 'decision_revision',
            'fill', 'ledger_entry', 'ledger_transaction', 'order_check', 'order_event', 'order_intent', 'plan_line',
            'reconciliation', 'replayed_decision', 'run_attempt', 'venue_conformance'
          ]),
          -- the present state of things, each with its history elsewhere or none worth keeping
          ('trading_app', 'SELECT, INSERT, UPDATE', ARRAY[
            'alert_delivery', 'candle', 'discrepancy', 'equity_day', 'lease', 'position_fold', 'run'
          ]),
          -- the chain's head is moved by the trigger of order_event alone
          ('trading_app', 'SELECT, INSERT, UPDATE (epoch, incarnation, restored_at)', ARRAY['account']),
          ('trading_app', 'SELECT, INSERT, UPDATE (valid_to)', ARRAY['instrument']),
          ('trading_app', 'SELECT, INSERT, UPDATE (ended_at)', ARRAY['alert']),
          -- a gap ends, and stays as what was known until then
          ('trading_app', 'SELECT, INSERT, UPDATE (superseded_by, superseded_at)', ARRAY['candle_gap']),
          -- what migrations and triggers write
          ('trading_app', 'SELECT', ARRAY[
            'alembic_version', 'balance', 'balance_fold', 'candle_revision', 'halt_open', 'order_current', 'order_fold',
            'order_state', 'order_transition', 'position', 'signature_waiting'
          ]),
          ('trading_reader', 'SELECT', ARRAY[
            'account', 'acknowledgement', 'alembic_version', 'alert', 'alert_delivery', 'balance', 'balance_fold',
            'cancel_request', 'candle', 'candle_gap', 'candle_quarantine', 'candle_revision', 'control_chain', 'control_event',
            'decision', 'decision_revision', 'discrepancy',
            'equity_day', 'fill', 'halt_open', 'instrument', 'lease', 'ledger_entry', 'ledger_transaction', 'order_check', 'order_current',
            'order_event', 'order_fold', 'order_intent', 'order_state', 'order_transition', 'plan_line', 'position',
            'position_fold', 'reconciliation', 'replayed_decision', 'run', 'run_attempt', 'signature_waiting',
            'venue_conformance'
          ]),
          ('trading_replay', 'SELECT', ARRAY['candle', 'candle_gap', 'candle_revision', 'decision', 'instrument']),
          ('trading_replay', 'SELECT, INSERT', ARRAY['replayed_decision', 'run_attempt']),
          ('trading_replay', 'SELECT, INSERT, UPDATE', ARRAY['run'])
      ) AS list (grantee, rights, tables)
      JOIN pg_roles ON rolname = grantee
     CROSS JOIN unnest(tables) AS table_name
  LOOP
    EXECUTE format('REVOKE ALL ON trading.%I FROM %I', line.table_name, line.grantee);
    EXECUTE format('GRANT %s ON trading.%I TO %I', line.rights, line.table_name, line.grantee);
  END LOOP;

  FOR line IN
    SELECT rolname AS grantee FROM pg_roles WHERE rolname IN ('trading_app', 'trading_reader', 'trading_replay')
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA trading TO %I', line.grantee);
  END LOOP;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'trading_app') THEN
    GRANT EXECUTE ON FUNCTION trading.arm_kill_switch() TO trading_app;
  END IF;
END;
$$;
