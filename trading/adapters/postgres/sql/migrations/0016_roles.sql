-- Triggers that write beside the row that fired them do so with their owner's rights, so that whoever inserts events
-- needs no right to touch heads and folds. Who may do what is in sql/roles.sql, which is applied after each migration.

ALTER FUNCTION trading.check_order_event() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION trading.fold_order_event() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION trading.fold_balances() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION trading.keep_candle() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;


CREATE FUNCTION trading.arm_kill_switch() RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- A pause of kill_switch, whoever makes it, halts in its own transaction; so do a row that comes back paused, as
  -- Airflow makes new ones by default, and the deletion of the row.
  CREATE OR REPLACE TRIGGER trading_kill_switch_paused
    AFTER UPDATE OF is_paused ON public.dag
    FOR EACH ROW
    WHEN (NEW.is_paused AND NOT OLD.is_paused AND NEW.dag_id = 'kill_switch')
    EXECUTE FUNCTION trading.latch_kill_switch();
  CREATE OR REPLACE TRIGGER trading_kill_switch_created
    AFTER INSERT ON public.dag
    FOR EACH ROW
    WHEN (NEW.is_paused AND NEW.dag_id = 'kill_switch')
    EXECUTE FUNCTION trading.latch_kill_switch();
  CREATE OR REPLACE TRIGGER trading_kill_switch_deleted
    AFTER DELETE ON public.dag
    FOR EACH ROW
    WHEN (OLD.dag_id = 'kill_switch')
    EXECUTE FUNCTION trading.latch_kill_switch();
  -- Enabled even where a session replays another server's changes.
  ALTER TABLE public.dag ENABLE ALWAYS TRIGGER trading_kill_switch_paused;
  ALTER TABLE public.dag ENABLE ALWAYS TRIGGER trading_kill_switch_created;
  ALTER TABLE public.dag ENABLE ALWAYS TRIGGER trading_kill_switch_deleted;
END;
$$;

COMMENT ON FUNCTION trading.arm_kill_switch() IS
  'Installs and enables the latch on Airflow''s dag table, with the owner''s rights: an upgrade of Airflow may drop it.';

-- prevents a trigger on somebody's temporary table from running these with the owner's rights
REVOKE ALL ON FUNCTION
  trading.check_order_event(), trading.fold_order_event(), trading.fold_balances(), trading.keep_candle(),
  trading.latch_kill_switch(), trading.arm_kill_switch()
FROM PUBLIC;
