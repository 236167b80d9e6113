-- open_account --
-- A new account and its first halt, in one go: a fresh installation never trades by itself.
WITH opened AS (
  INSERT INTO trading.account (account, venue, mode, opened_at, run_id, dag_id)
  VALUES (%(account)s, %(venue)s, %(mode)s, %(at)s, %(run_id)s, %(dag_id)s)
  ON CONFLICT (account) DO NOTHING
  RETURNING account
)
INSERT INTO trading.control_event (account, kind, author, reason, at, run_id, dag_id)
SELECT account, 'halt_engaged', %(actor)s, %(reason)s, %(at)s, %(run_id)s, %(dag_id)s
  FROM opened
RETURNING event_id;

-- get_account --
-- The account, unlocked.
SELECT account, venue, mode, incarnation, epoch, opened_at, restored_at
  FROM trading.account
 WHERE account = %(account)s;

-- lock_account --
-- The account, locked until the transaction ends; readers and foreign keys pass.
SELECT account, venue, mode, incarnation, epoch, opened_at, restored_at, chain_sequence, chain_head
  FROM trading.account
 WHERE account = %(account)s
   FOR NO KEY UPDATE;

-- advance_epoch --
-- The next fencing epoch.
UPDATE trading.account
   SET epoch = epoch + 1
 WHERE account = %(account)s
RETURNING epoch;

-- next_incarnation --
-- The next incarnation: every id from here on is new.
UPDATE trading.account
   SET incarnation = greatest(incarnation + 1, %(at_least)s)
 WHERE account = %(account)s
RETURNING incarnation;

-- note_restored --
-- What was signed or reconciled before this counts no more.
UPDATE trading.account
   SET restored_at = greatest(restored_at, %(at)s)
 WHERE account = %(account)s
RETURNING restored_at;

-- database_time --
-- The database's clock now, not when the transaction began: waiting for a lock must not make a lease last longer.
SELECT clock_timestamp() AS now;
