-- Adoption: what happened outside the pipeline, taken into the books by a person; and orders that the venue forgot.

CREATE TABLE trading.acknowledgement (
  account      text           NOT NULL CONSTRAINT acknowledgement_account REFERENCES trading.account,
  kind         text           NOT NULL,
  key          text           NOT NULL,  -- the order or fill, as a discrepancy names it
  theirs       trading.amount NOT NULL,  -- the venue's figure: with another one it is found anew
  run_id       text           NOT NULL,
  dag_id       text           NOT NULL,
  recorded_at  timestamptz    NOT NULL DEFAULT clock_timestamp(),
  -- prevents noting one thing twice
  CONSTRAINT acknowledgement_key PRIMARY KEY (account, kind, key, theirs),
  -- prevents waving through what the ledger itself must end: a balance that differs, an order that is not over
  CONSTRAINT acknowledgement_kind CHECK (kind IN ('external_order', 'external_fill', 'overfill'))
);

CREATE INDEX acknowledgement_by_run ON trading.acknowledgement (run_id);

COMMENT ON TABLE trading.acknowledgement IS
  'Orders, fills and overfills of the venue that no intent explains and of which somebody took note: append-only.';

CREATE TRIGGER acknowledgement_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.acknowledgement
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


ALTER TABLE trading.discrepancy
  ADD COLUMN sightings integer NOT NULL DEFAULT 1,  -- reconciliations that found it
  DROP CONSTRAINT discrepancy_kind,
  ADD CONSTRAINT discrepancy_kind
    CHECK (kind IN (
      'balance', 'external_order', 'external_fill', 'overfill', 'late_acceptance', 'forgotten_order'
    ));

ALTER TABLE trading.control_event
  DROP CONSTRAINT control_event_kind,
  ADD CONSTRAINT control_event_kind
    CHECK (kind IN ('halt_engaged', 'halt_released', 'override_refused', 'adopted'));
