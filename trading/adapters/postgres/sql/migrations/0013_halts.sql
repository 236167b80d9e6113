-- Halts of a scope and a level, when they became effective, and leave to close positions meanwhile.

ALTER TABLE trading.control_event
  DROP CONSTRAINT control_event_kind,
  ADD CONSTRAINT control_event_kind
    CHECK (kind IN (
      'halt_engaged', 'halt_released', 'override_refused', 'adopted', 'restored', 'halt_effective', 'halt_verified',
      'reduce_only_granted'
    )),
  -- prevents a halt that no order can be told to be in, or out of
  ADD CONSTRAINT control_event_scope CHECK (
    kind <> 'halt_engaged' OR scope = 'all' OR scope ~ '^(account|strategy|instrument):[^[:space:]]([^[:cntrl:]]*[^[:space:]])?$'
  ),
  -- prevents a halt of an unknown strength; one that says nothing forbids everything
  ADD CONSTRAINT control_event_level CHECK (
    kind <> 'halt_engaged' OR COALESCE(detail ->> 'level', 'halt') IN ('pause-entries', 'halt')
  ),
  -- prevents an effect of no halt
  ADD CONSTRAINT control_event_effect
    CHECK (kind NOT IN ('halt_effective', 'halt_verified', 'reduce_only_granted') OR halt_id IS NOT NULL);

-- prevents two times at which one halt became effective
CREATE UNIQUE INDEX control_event_effect_once ON trading.control_event (halt_id, account, kind)
  WHERE kind IN ('halt_effective', 'halt_verified');

CREATE OR REPLACE VIEW trading.halt_open AS
SELECT engaged.event_id AS halt_id,
       engaged.account,
       engaged.scope,
       engaged.author,
       engaged.reason,
       engaged.at AS engaged_at,
       COALESCE(engaged.detail ->> 'level', 'halt') AS level
  FROM trading.control_event AS engaged
 WHERE engaged.kind = 'halt_engaged'
   AND NOT EXISTS (
     SELECT
       FROM trading.control_event AS released
      WHERE released.kind = 'halt_released'
        AND released.halt_id = engaged.event_id
   );
COMMENT ON VIEW trading.halt_open IS 'Halts that nobody released; * is every account.';
