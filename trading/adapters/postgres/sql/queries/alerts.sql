-- lead_alerts --
-- Whether this session is the account's watcher; it stays so until it ends.
SELECT pg_try_advisory_lock(hashtextextended('trading:alerts:' || %(account)s, 0)) AS held;

-- record_alert --
-- Raise an alert, unless one of its name stands.
INSERT INTO trading.alert (account, kind, subject, at, sentence, run_id, raised_at)
VALUES (%(account)s, %(kind)s, %(subject)s, %(at)s, %(sentence)s, %(run_id)s, %(raised_at)s)
ON CONFLICT (account, kind, subject) WHERE ended_at IS NULL DO NOTHING;

-- end_alerts --
-- They stand no more.
UPDATE trading.alert
   SET ended_at = %(at)s
 WHERE account = %(account)s
   AND number = ANY (%(numbers)s)
   AND ended_at IS NULL;

-- known_alerts --
-- Those that stand and the recent ones, oldest first, with what became of telling them.
SELECT number, kind, subject, at, sentence, run_id, raised_at, ended_at,
       ARRAY(
         SELECT to_jsonb(delivery)
           FROM trading.alert_delivery AS delivery
          WHERE delivery.number = alert.number
       ) AS deliveries
  FROM trading.alert
 WHERE account = %(account)s
   AND (ended_at IS NULL OR raised_at >= %(since)s)
 ORDER BY number;

-- recent_alerts --
-- The newest ones, likewise.
SELECT number, kind, subject, at, sentence, run_id, raised_at, ended_at,
       ARRAY(
         SELECT to_jsonb(delivery)
           FROM trading.alert_delivery AS delivery
          WHERE delivery.number = alert.number
       ) AS deliveries
  FROM trading.alert
 WHERE account = %(account)s
 ORDER BY number DESC
 LIMIT %(limit)s;

-- note_delivery --
-- One more attempt to tell a channel, and what came of it.
INSERT INTO trading.alert_delivery (number, channel, is_over, tried_at, problem)
VALUES (%(number)s, %(channel)s, %(is_over)s, %(at)s, %(problem)s)
ON CONFLICT (number, channel, is_over) DO UPDATE
   SET attempts = alert_delivery.attempts + 1,
       tried_at = excluded.tried_at,
       problem = excluded.problem;
