-- Restores: what was signed or reconciled before one counts no more, and fills that the venue shows no more.

ALTER TABLE trading.account
  ADD COLUMN restored_at timestamptz;  -- when somebody last said that this ledger had been restored; never, where NULL

CREATE FUNCTION trading.guard_restored_at() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
  IF OLD.restored_at IS NOT NULL AND (NEW.restored_at IS NULL OR NEW.restored_at < OLD.restored_at) THEN
    RAISE EXCEPTION 'account %: restored_at only grows', OLD.account
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END;
$$;

-- prevents an override from before a restore from becoming valid again
CREATE TRIGGER account_restored_at_only_grows
  BEFORE UPDATE OF restored_at ON trading.account
  FOR EACH ROW EXECUTE FUNCTION trading.guard_restored_at();

ALTER TABLE trading.reconciliation
  ADD COLUMN full_history boolean NOT NULL DEFAULT false;  -- the venue's fills were read from the account's first day on

CREATE INDEX reconciliation_full_clean_at ON trading.reconciliation (account, at DESC) WHERE clean AND full_history;

ALTER TABLE trading.discrepancy
  DROP CONSTRAINT discrepancy_kind,
  ADD CONSTRAINT discrepancy_kind
    CHECK (kind IN (
      'balance', 'external_order', 'external_fill', 'overfill', 'late_acceptance', 'forgotten_order', 'forgotten_fill'
    ));

ALTER TABLE trading.control_event
  DROP CONSTRAINT control_event_kind,
  ADD CONSTRAINT control_event_kind
    CHECK (kind IN ('halt_engaged', 'halt_released', 'override_refused', 'adopted', 'restored'));
