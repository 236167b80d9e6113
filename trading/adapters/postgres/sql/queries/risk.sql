-- limits_in_force --
-- The newest limits that somebody applied.
SELECT detail, author, at
  FROM trading.control_event
 WHERE account = %(account)s
   AND kind = 'limits_applied'
 ORDER BY event_id DESC
 LIMIT 1;

-- risk_standing --
-- In one row what each order is held against: disabled strategies, versions, the marks of the newest day.
SELECT (
         SELECT jsonb_object_agg(scope, reason)
           FROM (
             SELECT DISTINCT ON (scope) scope, reason, kind
               FROM trading.control_event
              WHERE account = %(account)s
                AND kind IN ('strategy_disabled', 'strategy_enabled')
              ORDER BY scope, event_id DESC
           ) AS newest
          WHERE kind = 'strategy_disabled'
       ) AS disabled,
       (
         SELECT detail
           FROM trading.control_event
          WHERE kind = 'deployed'
          ORDER BY event_id DESC
          LIMIT 1
       ) AS deployed,
       (SELECT version_num FROM trading.alembic_version) AS schema_version,
       (
         SELECT jsonb_agg(jsonb_build_object(
                  'scope', scope, 'day', day, 'at', at, 'equity', equity::text, 'index', index::text,
                  'day_index', day_index::text, 'high_index', high_index::text, 'position', position
                ))
           FROM trading.equity_day
          WHERE account = %(account)s
            AND day = (SELECT max(day) FROM trading.equity_day WHERE account = %(account)s)
       ) AS marks;

-- traffic --
-- Signed orders and cancels since an instant, and orders like one since another, or since its strategy was enabled.
-- The bounds are such that the planner expects few rows whatever they are: one plan serves, and it is never all orders.
SELECT count(*) FILTER (WHERE signed_at >= %(since)s) AS orders,
       count(*) FILTER (WHERE signed_at >= %(since)s AND strategy = %(strategy)s) AS of_strategy,
       count(*) FILTER (WHERE signed_at >= %(since)s AND instrument = %(instrument)s) AS of_instrument,
       count(*) FILTER (
         WHERE strategy = %(strategy)s
           AND instrument = %(instrument)s
           AND side = %(side)s
           AND quantity = %(quantity)s
           AND signed_at >= greatest(%(alike_since)s, (
                 SELECT max(at)
                   FROM trading.control_event
                  WHERE account = %(account)s
                    AND kind = 'strategy_enabled'
                    AND scope = %(scope)s
               ))
       ) AS alike,
       (
         SELECT count(*)
           FROM trading.cancel_request
          WHERE account = %(account)s
            AND at >= %(since)s
       ) AS cancels
  FROM trading.order_fold
 WHERE account = %(account)s
   AND signed_at >= (SELECT least(%(since)s::timestamptz, %(alike_since)s))
   AND signed_at < 'infinity';

-- note_cancel --
-- A cancel that is about to be asked for.
INSERT INTO trading.cancel_request (account, client_order_id, at, run_id, dag_id)
VALUES (%(account)s, %(client_order_id)s, %(at)s, %(run_id)s, %(dag_id)s);

-- cancels_since --
-- How many cancels were asked for since an instant.
SELECT count(*) AS cancels
  FROM trading.cancel_request
 WHERE account = %(account)s
   AND at >= %(since)s;

-- newest_marks --
-- Each scope's newest mark.
SELECT DISTINCT ON (scope) scope, day, at, equity, index, day_index, high_index, position
  FROM trading.equity_day
 WHERE account = %(account)s
 ORDER BY scope, day DESC;

-- keep_mark --
-- A scope's mark of a day, carried on through the day.
INSERT INTO trading.equity_day (
  account, scope, day, at, equity, index, day_index, high_index, position, run_id, dag_id
)
VALUES (
  %(account)s, %(scope)s, %(day)s, %(at)s, %(equity)s, %(index)s, %(day_index)s, %(high_index)s, %(position)s,
  %(run_id)s, %(dag_id)s
)
ON CONFLICT (account, day, scope) DO UPDATE
   SET at = excluded.at,
       equity = excluded.equity,
       index = excluded.index,
       day_index = excluded.day_index,
       high_index = excluded.high_index,
       position = excluded.position,
       run_id = excluded.run_id,
       dag_id = excluded.dag_id;

-- losses_taken --
-- When a person last released a halt that a loss limit had engaged, by scope.
SELECT engaged.scope, max(released.at) AS at
  FROM trading.control_event AS engaged
  JOIN trading.control_event AS released ON released.kind = 'halt_released' AND released.halt_id = engaged.event_id
 WHERE engaged.account = %(account)s
   AND engaged.kind = 'halt_engaged'
   AND engaged.author = %(author)s
 GROUP BY engaged.scope;
