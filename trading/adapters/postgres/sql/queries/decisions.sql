-- record_decision --
-- The first one for an as_of wins.
INSERT INTO trading.decision (
  strategy, as_of, timeframe, status, weights, input_hash, decided_at, reason, detail, run_id, dag_id
)
VALUES (
  %(strategy)s, %(as_of)s, %(timeframe)s, %(status)s, %(weights)s, %(input_hash)s, %(decided_at)s, %(reason)s,
  %(detail)s, %(run_id)s, %(dag_id)s
)
ON CONFLICT (strategy, as_of) DO NOTHING;

-- get_decision --
-- The one that won.
SELECT strategy, as_of, timeframe, status, weights, input_hash, decided_at, reason, detail, run_id
  FROM trading.decision
 WHERE strategy = %(strategy)s
   AND as_of = %(as_of)s;

-- record_decision_revision --
-- A recomputation that differs, kept once.
INSERT INTO trading.decision_revision (
  strategy, as_of, number, timeframe, status, weights, input_hash, decided_at, reason, detail, run_id, dag_id
)
SELECT %(strategy)s, %(as_of)s, COALESCE(max(number), 0) + 1, %(timeframe)s, %(status)s, %(weights)s, %(input_hash)s,
       %(decided_at)s, %(reason)s, %(detail)s, %(run_id)s, %(dag_id)s
  FROM trading.decision_revision
 WHERE strategy = %(strategy)s
   AND as_of = %(as_of)s
ON CONFLICT DO NOTHING;

-- newest_decision --
-- The newest by as_of, whatever its status.
SELECT strategy, as_of, timeframe, status, weights, input_hash, decided_at, reason, detail, run_id
  FROM trading.decision
 WHERE strategy = %(strategy)s
 ORDER BY as_of DESC
 LIMIT 1;

-- decisions_by_run --
-- Those that a run stored, in the order in which it decided them.
SELECT strategy, as_of, timeframe, status, weights, input_hash, decided_at, reason, detail, run_id
  FROM trading.decision
 WHERE run_id = %(run_id)s
 ORDER BY number;
