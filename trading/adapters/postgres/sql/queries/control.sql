-- open_halts --
-- Halts that nobody released: the account's own, and those of all accounts.
SELECT halt_id, scope, author, reason, engaged_at
  FROM trading.halt_open
 WHERE account IN (%(account)s, '*')
 ORDER BY halt_id;

-- add_control_event --
-- A halt or a refusal, and word of it to whoever listens. No lock: anybody may stop.
WITH added AS (
  INSERT INTO trading.control_event (account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail)
  VALUES (
    %(account)s, %(kind)s, %(scope)s, %(halt_id)s, %(author)s, %(reason)s, %(at)s, %(run_id)s, %(dag_id)s, %(detail)s
  )
  RETURNING event_id, kind
)
SELECT event_id, pg_notify('trading_control', kind)
  FROM added;

-- release_halt --
-- The release of exactly this halt, where it is open and concerns the account; unique keys stop a second use.
INSERT INTO trading.control_event (
  account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail, token_id, key_id
)
SELECT account, 'halt_released', %(scope)s, halt_id, %(author)s, %(reason)s, %(at)s, %(run_id)s, %(dag_id)s, %(detail)s,
       %(token_id)s, %(key_id)s
  FROM trading.halt_open
 WHERE halt_id = %(halt_id)s
   AND account IN (%(account)s, '*')
ON CONFLICT DO NOTHING;

-- used_token --
-- Whether a token has released something.
SELECT event_id
  FROM trading.control_event
 WHERE token_id = %(token_id)s;

-- control_history --
-- The newest control events; a halt names itself.
SELECT kind, author, reason, at, run_id, dag_id, scope, detail,
       CASE kind WHEN 'halt_engaged' THEN event_id ELSE halt_id END AS halt_id
  FROM trading.control_event
 WHERE account IN (%(account)s, '*')
 ORDER BY event_id DESC
 LIMIT %(limit)s;

-- get_lease --
-- When the dead man's switch forbids entries.
SELECT expires_at
  FROM trading.lease
 WHERE account = %(account)s;

-- renew_lease --
-- Its new end.
INSERT INTO trading.lease (account, expires_at, run_id, dag_id)
VALUES (%(account)s, %(until)s, %(run_id)s, %(dag_id)s)
ON CONFLICT (account) DO UPDATE
   SET expires_at = excluded.expires_at,
       renewed_at = clock_timestamp(),
       run_id = excluded.run_id,
       dag_id = excluded.dag_id;

-- latch_triggers --
-- Airflow's table, where this database has it, and how our triggers on it are enabled.
SELECT to_regclass('public.dag') IS NOT NULL AS has_airflow,
       (
         SELECT array_agg(tgenabled::text)
           FROM pg_trigger
          WHERE tgrelid = to_regclass('public.dag')
            AND tgname IN ('trading_kill_switch_paused', 'trading_kill_switch_deleted')
            AND tgfoid = 'trading.latch_kill_switch'::regproc
       ) AS enabled;

-- arm_latch --
-- Install and enable the triggers on Airflow's table.
SELECT trading.arm_kill_switch();

-- fence_shared --
-- A sender enters: shared, held by the session until it is given back.
SELECT pg_advisory_lock_shared(%(key)s);

-- leave_fence_shared --
-- The sender leaves.
SELECT pg_advisory_unlock_shared(%(key)s);

-- fence_exclusive --
-- Whoever halts waits for the senders inside, and lets nobody in.
SELECT pg_advisory_lock(%(key)s);

-- leave_fence_exclusive --
-- And gives the fence back.
SELECT pg_advisory_unlock(%(key)s);

-- bound_fence_wait --
-- How long to wait for a fence, in this transaction.
SELECT set_config('lock_timeout', %(timeout)s, true);
