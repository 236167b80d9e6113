-- start_run --
-- A first start, or another attempt; what the attempt before it came to is kept.
WITH before AS (
  INSERT INTO trading.run_attempt (
    dag_id, run_id, flow, attempt, started_at, ended_at, outcome, message, counts
  )
  SELECT dag_id, run_id, flow, attempts, resumed_at, ended_at, outcome, message, counts
    FROM trading.run
   WHERE dag_id = %(dag_id)s
     AND run_id = %(run_id)s
     AND flow = %(flow)s
  ON CONFLICT DO NOTHING
)
INSERT INTO trading.run (
  dag_id, run_id, flow, run_type, actor, causes, started_at, resumed_at, outcome
)
VALUES (
  %(dag_id)s, %(run_id)s, %(flow)s, %(run_type)s, %(actor)s, %(causes)s, %(at)s, %(at)s, 'running'
)
ON CONFLICT (dag_id, run_id, flow) DO UPDATE
   SET resumed_at = excluded.resumed_at,
       ended_at = NULL,
       outcome = 'running',
       attempts = run.attempts + 1;

-- finish_run --
-- The end of the newest attempt.
UPDATE trading.run
   SET ended_at = %(at)s,
       outcome = %(outcome)s,
       message = %(message)s,
       trouble = %(trouble)s,
       counts = %(counts)s
 WHERE dag_id = %(dag_id)s
   AND run_id = %(run_id)s
   AND flow = %(flow)s;

-- recent_runs --
-- The newest runs of a flow, or of all flows.
SELECT dag_id, run_id, flow, run_type, actor, causes, started_at, ended_at, outcome, message, counts,
       trouble
  FROM trading.run
 WHERE flow = %(flow)s::text OR %(flow)s::text IS NULL
 ORDER BY started_at DESC, number DESC
 LIMIT %(limit)s;

-- runs_by_id --
-- Every flow that a run id ran, oldest first.
SELECT dag_id, run_id, flow, run_type, actor, causes, started_at, ended_at, outcome, message, counts,
       trouble
  FROM trading.run
 WHERE run_id = %(run_id)s
 ORDER BY started_at, number;
