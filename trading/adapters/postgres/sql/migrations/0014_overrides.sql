-- Overrides: the first of two signatures, leave to reduce, and how many were refused lately.

ALTER TABLE trading.control_event
  DROP CONSTRAINT control_event_kind,
  ADD CONSTRAINT control_event_kind
    CHECK (kind IN (
      'halt_engaged', 'halt_released', 'override_refused', 'adopted', 'restored', 'halt_effective', 'halt_verified',
      'reduce_only_granted', 'override_signed'
    )),
  DROP CONSTRAINT control_event_release,
  -- prevents an override in use that names no halt, no token or no key
  ADD CONSTRAINT control_event_override
    CHECK (
      kind NOT IN ('halt_released', 'override_signed', 'reduce_only_granted')
      OR (halt_id IS NOT NULL AND token_id IS NOT NULL AND key_id IS NOT NULL)
    ),
  -- prevents one person, or one key, from signing both halves
  ADD CONSTRAINT control_event_two_people
    CHECK (
      NOT detail ? 'first_jti'
      OR (lower(detail ->> 'first_person') <> lower(author) AND detail ->> 'first_kid' <> key_id)
    );

-- what the constraint above says for each row; one halt is released by one row anyway
DROP INDEX trading.control_event_person;
DROP INDEX trading.control_event_by_key;
-- prevents a first signature from being completed twice
CREATE UNIQUE INDEX control_event_completed_once ON trading.control_event ((detail ->> 'first_jti'))
  WHERE kind IN ('halt_released', 'reduce_only_granted');
CREATE INDEX control_event_about_halt ON trading.control_event (halt_id) WHERE kind = 'override_signed';
CREATE INDEX control_event_refused ON trading.control_event (account, at) WHERE kind = 'override_refused';
CREATE INDEX control_event_granted ON trading.control_event (account, event_id) WHERE kind = 'reduce_only_granted';

CREATE VIEW trading.signature_waiting AS
SELECT first.event_id,
       first.account,
       first.token_id,
       first.halt_id,
       first.detail ->> 'action' AS action,
       first.scope,
       (first.detail ->> 'largest_notional')::numeric AS largest_notional,
       first.author AS person,
       first.key_id,
       first.detail ->> 'key_print' AS key_print,
       (first.detail ->> 'expires_at')::timestamptz AS expires_at
  FROM trading.control_event AS first
 WHERE first.kind = 'override_signed'
   AND NOT EXISTS (
     SELECT
       FROM trading.control_event AS second
      WHERE second.kind IN ('halt_released', 'reduce_only_granted')
        AND second.detail ->> 'first_jti' = first.token_id
   );

COMMENT ON VIEW trading.signature_waiting IS 'The first of two signatures, until a second one completes it; lapsed ones too.';
