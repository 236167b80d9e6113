-- open_halts --
-- Halts that nobody released: the account's own, and those of all accounts; and since when they are effective there.
SELECT halt_id, scope, level, author, reason, engaged_at,
       (
         SELECT at
           FROM trading.control_event AS effect
          WHERE effect.halt_id = halt_open.halt_id
            AND effect.account = %(account)s
            AND effect.kind = 'halt_effective'
       ) AS effective_at,
       (
         SELECT at
           FROM trading.control_event AS effect
          WHERE effect.halt_id = halt_open.halt_id
            AND effect.account = %(account)s
            AND effect.kind = 'halt_verified'
       ) AS verified_at
  FROM trading.halt_open
 WHERE account IN (%(account)s, '*')
 ORDER BY halt_id;

-- add_control_event --
-- A halt or a refusal, and word of it to whoever listens. No lock: anybody may stop. Only the first effect counts.
WITH added AS (
  INSERT INTO trading.control_event (account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail)
  VALUES (
    %(account)s, %(kind)s, %(scope)s, %(halt_id)s, %(author)s, %(reason)s, %(at)s, %(run_id)s, %(dag_id)s, %(detail)s
  )
  ON CONFLICT DO NOTHING
  RETURNING event_id, kind
)
SELECT event_id, pg_notify('trading_control', kind)
  FROM added;

-- unverified_halts --
-- Halts of which nobody has seen the effect at the venue yet: asked outside of the books, by whoever wakes halt_trading.
SELECT halt_id
  FROM trading.halt_open
 WHERE account IN (%(account)s, '*')
   AND NOT EXISTS (
     SELECT
       FROM trading.control_event AS effect
      WHERE effect.halt_id = halt_open.halt_id
        AND effect.account = %(account)s
        AND effect.kind = 'halt_verified'
   )
 ORDER BY halt_id;

-- use_override --
-- A release, a grant or a first signature about exactly this halt, where it is open and concerns the account.
-- Unique keys stop a second use; a first signature must wait still, and be another person's with another key.
-- A grant is the account's own, whoever's halt it is under.
INSERT INTO trading.control_event (
  account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail, token_id, key_id
)
SELECT CASE %(kind)s WHEN 'reduce_only_granted' THEN %(account)s ELSE account END,
       %(kind)s, %(scope)s, halt_id, %(author)s, %(reason)s, %(at)s, %(run_id)s, %(dag_id)s, %(detail)s,
       %(token_id)s, %(key_id)s
  FROM trading.halt_open
 WHERE halt_id = %(halt_id)s
   AND account IN (%(account)s, '*')
   AND (
     %(first_token_id)s::text IS NULL
     OR EXISTS (
       SELECT
         FROM trading.signature_waiting AS first
        WHERE first.halt_id = halt_open.halt_id
          AND first.token_id = %(first_token_id)s
          AND lower(first.person) <> lower(%(author)s)
          AND first.key_id <> %(key_id)s
          AND first.expires_at > %(at)s
     )
   )
ON CONFLICT DO NOTHING;

-- lock_halt --
-- Whoever signs about one halt does it one after the other, from whichever account.
SELECT pg_advisory_xact_lock(hashtext('trading.halt'), hashtext(%(halt_id)s::text));

-- waiting_signatures --
-- First signatures that no second one completed, lapsed ones too.
SELECT token_id, halt_id, action, scope, largest_notional, person, key_id, key_print, expires_at
  FROM trading.signature_waiting
 WHERE halt_id = %(halt_id)s
   AND account IN (%(account)s, '*')
 ORDER BY event_id;

-- live_grants --
-- Leave to reduce, while its halt stands and it lives.
SELECT granted.halt_id, granted.scope, (granted.detail ->> 'largest_notional')::numeric AS largest_notional,
       granted.author AS person, (granted.detail ->> 'expires_at')::timestamptz AS expires_at
  FROM trading.control_event AS granted
  JOIN trading.halt_open USING (halt_id)
 WHERE granted.account = %(account)s
   AND granted.kind = 'reduce_only_granted'
   AND (granted.detail ->> 'expires_at')::timestamptz > %(at)s
 ORDER BY granted.event_id;

-- count_refusals --
-- Overrides that were looked at and refused lately.
SELECT count(*) AS refusals
  FROM trading.control_event
 WHERE account = %(account)s
   AND kind = 'override_refused'
   AND at > %(at)s;

-- used_token --
-- Whether a token was used.
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
            AND tgname IN (
              'trading_kill_switch_paused', 'trading_kill_switch_created', 'trading_kill_switch_deleted'
            )
            AND tgfoid = 'trading.latch_kill_switch'::regproc
       ) AS enabled;

-- arm_latch --
-- Install and enable the triggers on Airflow's table.
SELECT trading.arm_kill_switch();

-- fence_shared --
-- A sender enters: shared, held by the session until it is given back; the wait is bounded before it begins.
SELECT pg_advisory_lock_shared(%(key)s)
  FROM set_config('lock_timeout', %(timeout)s, true);

-- leave_fence_shared --
-- The sender leaves.
SELECT pg_advisory_unlock_shared(%(key)s);

-- fence_exclusive --
-- Whoever halts waits for the senders inside, and lets nobody in; the wait is bounded likewise.
SELECT pg_advisory_lock(%(key)s)
  FROM set_config('lock_timeout', %(timeout)s, true);

-- leave_fence_exclusive --
-- And gives the fence back.
SELECT pg_advisory_unlock(%(key)s);

-- airflow_has_pools --
-- Whether Airflow's tables are in this database.
SELECT to_regclass('public.slot_pool') IS NOT NULL;

-- airflow_pools --
-- Airflow's pools, each with its slots.
SELECT pool, slots
  FROM public.slot_pool;
