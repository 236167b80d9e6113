-- plan_order --
-- The wish, unless its name exists.
INSERT INTO trading.order_intent (
  client_order_id, account, incarnation, strategy, instrument, timeframe, as_of, purpose, generation, side, order_type,
  quantity, limit_price, reference_price, target_quantity, planned_at, expires_at, run_id, dag_id
)
VALUES (
  %(client_order_id)s, %(account)s, %(incarnation)s, %(strategy)s, %(instrument)s, %(timeframe)s, %(as_of)s,
  %(purpose)s, %(generation)s, %(side)s, %(order_type)s, %(quantity)s, %(limit_price)s, %(reference_price)s,
  %(target_quantity)s, %(planned_at)s, %(expires_at)s, %(run_id)s, %(dag_id)s
)
ON CONFLICT (client_order_id) DO NOTHING;

-- append_order_event --
-- The next event, where the order stands where the writer believes; triggers check the step and move the chain's head.
INSERT INTO trading.order_event (
  client_order_id, sequence, account, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
  request_hash, epoch, detail, code_version, chain_sequence, previous_hash, hash
)
SELECT %(client_order_id)s, %(sequence)s, %(account)s, %(state)s, %(at)s, %(run_id)s, %(dag_id)s, %(reason)s,
       %(venue_order_id)s, %(signed_at)s, %(recv_window_ms)s, %(request_hash)s, %(epoch)s, %(detail)s,
       %(code_version)s, %(chain_sequence)s, %(previous_hash)s, %(hash)s
 WHERE (
   SELECT sequence
     FROM trading.order_fold
    WHERE client_order_id = %(client_order_id)s
 ) IS NOT DISTINCT FROM NULLIF(%(sequence)s - 1, -1)
RETURNING (
  SELECT COALESCE(sum(quantity), 0)
    FROM trading.fill
   WHERE client_order_id = %(client_order_id)s
) AS filled_quantity;

-- get_order --
-- One order, folded.
SELECT *
  FROM trading.order_current
 WHERE client_order_id = %(client_order_id)s;

-- orders_by_venue_order --
-- Ours among these venue order ids of one instrument; of two orders that share one, the one that learned it last.
SELECT known.known_as, order_current.*
  FROM (
    SELECT DISTINCT ON (event.venue_order_id) event.venue_order_id AS known_as, event.client_order_id
      FROM trading.order_event AS event
      JOIN trading.order_intent AS intent USING (client_order_id)
     WHERE event.account = %(account)s
       AND intent.instrument = %(instrument)s
       AND event.venue_order_id = ANY (%(venue_order_ids)s)
     ORDER BY event.venue_order_id, event.chain_sequence DESC
  ) AS known
  JOIN trading.order_current USING (client_order_id);

-- open_orders --
-- Everything that is not terminal, oldest first. As an array, so that no plan ever begins with all orders there are.
SELECT *
  FROM trading.order_current
 WHERE client_order_id = ANY (ARRAY(
         SELECT client_order_id
           FROM trading.order_fold
          WHERE account = %(account)s
            AND is_open
       ))
 ORDER BY number;

-- sent_orders --
-- Those of them that are at the venue, or possibly so.
SELECT *
  FROM trading.order_current
 WHERE client_order_id = ANY (ARRAY(
         SELECT client_order_id
           FROM trading.order_fold
          WHERE account = %(account)s
            AND is_open
            AND state <> 'planned'
       ))
 ORDER BY number;

-- order_generations --
-- Every order that serves a strategy's decision.
SELECT *
  FROM trading.order_current
 WHERE account = %(account)s
   AND strategy = %(strategy)s
   AND as_of = %(as_of)s
 ORDER BY number;

-- order_events --
-- An order's life.
SELECT client_order_id, sequence, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
       request_hash, epoch, detail
  FROM trading.order_event
 WHERE client_order_id = %(client_order_id)s
 ORDER BY sequence;

-- order_alarms --
-- Denials and unknown outcomes since an instant, oldest first.
SELECT client_order_id, sequence, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
       request_hash, epoch, detail
  FROM trading.order_event
 WHERE account = %(account)s
   AND state IN ('outcome_unknown', 'denied')
   AND at >= %(since)s
 ORDER BY at, chain_sequence;

-- orders_signed_since --
-- Orders that were signed at or after an instant, oldest signature first.
SELECT *
  FROM trading.order_current
 WHERE account = %(account)s
   AND signed_at >= %(since)s
 ORDER BY signed_at, number;

-- recent_orders --
-- The newest orders.
SELECT *
  FROM trading.order_current
 WHERE account = %(account)s
 ORDER BY number DESC
 LIMIT %(limit)s;

-- record_check --
-- What the checks said, where the newest one of this order said something else.
INSERT INTO trading.order_check (client_order_id, verdict, codes, figures, at, run_id, dag_id)
SELECT intent.client_order_id, %(verdict)s, %(codes)s::text[], %(figures)s, %(at)s, %(run_id)s, %(dag_id)s
  FROM trading.order_intent AS intent
  LEFT JOIN LATERAL (
    SELECT verdict, codes
      FROM trading.order_check
     WHERE order_check.client_order_id = intent.client_order_id
     ORDER BY number DESC
     LIMIT 1
  ) AS newest ON true
 WHERE intent.client_order_id = %(client_order_id)s
   AND (newest.verdict, newest.codes) IS DISTINCT FROM (%(verdict)s::text, %(codes)s::text[]);

-- order_checks --
-- What the checks said, oldest first.
SELECT client_order_id, verdict, codes, at, figures, run_id
  FROM trading.order_check
 WHERE client_order_id = %(client_order_id)s
 ORDER BY number;

-- order_exists --
-- Whether there is an intent of this name.
SELECT client_order_id
  FROM trading.order_intent
 WHERE client_order_id = %(client_order_id)s;

-- record_plan_line --
-- Why an instrument did or did not lead to an order, and whether that was not said before for the same decision.
INSERT INTO trading.plan_line (
  account, strategy, instrument, as_of, outcome, weight, target_quantity, held, on_its_way, delta, client_order_id,
  run_id, dag_id
)
VALUES (
  %(account)s, %(strategy)s, %(instrument)s, %(as_of)s, %(outcome)s, %(weight)s, %(target_quantity)s, %(held)s,
  %(on_its_way)s, %(delta)s, %(client_order_id)s, %(run_id)s, %(dag_id)s
)
RETURNING NOT EXISTS (
  SELECT FROM trading.plan_line AS before
   WHERE before.account = %(account)s
     AND before.strategy = %(strategy)s
     AND before.as_of = %(as_of)s
     AND before.instrument = %(instrument)s
     AND before.outcome = %(outcome)s
     AND before.client_order_id = %(client_order_id)s
) AS is_news;

-- plan_lines --
-- What a run's planning said, in its order.
SELECT strategy, instrument, as_of, outcome, weight, target_quantity, held, on_its_way, delta, client_order_id
  FROM trading.plan_line
 WHERE run_id = %(run_id)s
 ORDER BY number;
