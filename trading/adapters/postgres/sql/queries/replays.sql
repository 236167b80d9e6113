-- record_replay --
-- A replay's decisions, each once a run.
INSERT INTO trading.replayed_decision (
  dag_id, run_id, strategy, as_of, timeframe, status, weights, verdict, explanation
)
SELECT %(dag_id)s, %(run_id)s, strategy, as_of, timeframe, status, weights, verdict, explanation
  FROM jsonb_to_recordset(%(rows)s) AS line (
         strategy text, as_of timestamptz, timeframe text, status text, weights jsonb, verdict text, explanation text
       )
ON CONFLICT DO NOTHING;

-- replay_by_run --
-- What a run kept.
SELECT strategy, as_of, timeframe, status, weights, verdict, explanation
  FROM trading.replayed_decision
 WHERE dag_id = %(dag_id)s
   AND run_id = %(run_id)s
 ORDER BY strategy, as_of;

-- decisions_between --
-- A strategy's decisions with since < as_of <= until, ascending.
SELECT strategy, as_of, timeframe, status, weights, input_hash, decided_at, reason, detail, run_id
  FROM trading.decision
 WHERE strategy = %(strategy)s
   AND as_of > %(since)s
   AND as_of <= %(until)s
 ORDER BY as_of;
