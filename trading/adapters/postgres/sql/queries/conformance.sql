-- record_conformance --
-- What came of a venue's test.
INSERT INTO trading.venue_conformance (
  venue, target, address, at, code_version, ccxt_version, passed, steps, run_id, dag_id
)
VALUES (
  %(venue)s, %(target)s, %(address)s, %(at)s, %(code_version)s, %(ccxt_version)s, %(passed)s, %(steps)s, %(run_id)s,
  %(dag_id)s
);

-- newest_conformance --
-- The newest test of a venue, whatever came of it.
SELECT venue, target, address, at, code_version, ccxt_version, steps
  FROM trading.venue_conformance
 WHERE venue = %(venue)s
   AND target = %(target)s
 ORDER BY number DESC
 LIMIT 1;
