-- record_fill --
-- The fill, unless it is known; nothing where it names no order of the account.
INSERT INTO trading.fill (
  account, venue, instrument, venue_fill_id, venue_order_id, client_order_id, side, price, quantity, fee, fee_currency,
  filled_at, is_maker, run_id, dag_id
)
SELECT account, %(venue)s, %(instrument)s, %(venue_fill_id)s, %(venue_order_id)s, client_order_id, %(side)s, %(price)s,
       %(quantity)s, %(fee)s, %(fee_currency)s, %(filled_at)s, %(is_maker)s, %(run_id)s, %(dag_id)s
  FROM trading.order_intent
 WHERE client_order_id = %(client_order_id)s
   AND account = %(account)s
ON CONFLICT (account, venue, instrument, venue_fill_id) DO NOTHING;

-- get_fill --
-- A known fill.
SELECT venue, instrument, venue_fill_id, venue_order_id, client_order_id, side, price, quantity, fee, fee_currency,
       filled_at, is_maker
  FROM trading.fill
 WHERE account = %(account)s
   AND venue = %(venue)s
   AND instrument = %(instrument)s
   AND venue_fill_id = %(venue_fill_id)s;

-- newest_fills --
-- The newest fill's time by instrument.
SELECT instrument,
       max(filled_at) AS filled_at
  FROM trading.fill
 WHERE account = %(account)s
 GROUP BY instrument;

-- place_of_fill --
-- The strategy that an order belongs to, and the fold of its fills of that instrument so far.
SELECT intent.strategy, fold.quantity, fold.cost, fold.realised, fold.newest_fill_at, fold.newest_fill_id
  FROM trading.order_intent AS intent
  LEFT JOIN trading.position_fold AS fold
    ON fold.account = intent.account
   AND fold.strategy = intent.strategy
   AND fold.instrument = intent.instrument
 WHERE intent.client_order_id = %(client_order_id)s;

-- keep_fold --
-- The fold after a fill.
INSERT INTO trading.position_fold (
  account, strategy, instrument, quantity, cost, realised, newest_fill_at, newest_fill_id
)
VALUES (
  %(account)s, %(strategy)s, %(instrument)s, %(quantity)s, %(cost)s, %(realised)s, %(newest_fill_at)s, %(newest_fill_id)s
)
ON CONFLICT (account, strategy, instrument) DO UPDATE
   SET quantity = excluded.quantity,
       cost = excluded.cost,
       realised = excluded.realised,
       newest_fill_at = excluded.newest_fill_at,
       newest_fill_id = excluded.newest_fill_id;

-- position_folds --
-- Every position of the account.
SELECT strategy, instrument, quantity, cost, realised
  FROM trading.position_fold
 WHERE account = %(account)s;

-- fills_of_place --
-- A strategy's fills of an instrument; at one instant in the order of the venue's own numbering, which grows.
SELECT fill.venue, fill.instrument, fill.venue_fill_id, fill.venue_order_id, fill.client_order_id,
       fill.side, fill.price, fill.quantity, fill.fee, fill.fee_currency, fill.filled_at, fill.is_maker
  FROM trading.fill
  JOIN trading.order_intent AS intent USING (client_order_id)
 WHERE fill.account = %(account)s
   AND intent.strategy = %(strategy)s
   AND fill.instrument = %(instrument)s
 ORDER BY fill.filled_at, length(fill.venue_fill_id), fill.venue_fill_id COLLATE "C";

-- recent_fills --
-- The newest fills.
SELECT venue, instrument, venue_fill_id, venue_order_id, client_order_id, side, price, quantity, fee, fee_currency,
       filled_at, is_maker
  FROM trading.fill
 WHERE account = %(account)s
 ORDER BY filled_at DESC, length(venue_fill_id) DESC, venue_fill_id COLLATE "C" DESC
 LIMIT %(limit)s;

-- fills_since --
-- Fills from an instant on, oldest first.
SELECT venue, instrument, venue_fill_id, venue_order_id, client_order_id, side, price, quantity, fee, fee_currency,
       filled_at, is_maker
  FROM trading.fill
 WHERE account = %(account)s
   AND filled_at >= %(since)s
 ORDER BY filled_at, length(venue_fill_id), venue_fill_id COLLATE "C";

-- post_transaction --
-- A transaction with its entries, unless its reference exists; a deferred trigger checks that they sum to zero.
WITH posted AS (
  INSERT INTO trading.ledger_transaction (account, kind, reference, occurred_at, run_id, dag_id)
  VALUES (%(account)s, %(kind)s, %(reference)s, %(occurred_at)s, %(run_id)s, %(dag_id)s)
  ON CONFLICT (account, reference) DO NOTHING
  RETURNING transaction_id, account
)
INSERT INTO trading.ledger_entry (transaction_id, leg, account, sub_account, category, currency, amount)
SELECT transaction_id, leg, account, sub_account, category, currency, amount
  FROM posted
 CROSS JOIN unnest(
        %(sub_accounts)s::text[], %(categories)s::text[], %(currencies)s::text[], %(amounts)s::numeric[]
      ) WITH ORDINALITY AS legs (sub_account, category, currency, amount, leg);

-- ledger_references --
-- References that start so, in the order in which they were posted.
SELECT reference
  FROM trading.ledger_transaction
 WHERE account = %(account)s
   AND starts_with(reference, %(prefix)s)
 ORDER BY transaction_id;

-- flows_since --
-- What transactions after a position moved, but for fills: deposits, withdrawals, transfers between sub-accounts.
SELECT entry.sub_account, entry.currency, sum(entry.amount) AS amount
  FROM trading.ledger_transaction AS posted
  JOIN trading.ledger_entry AS entry USING (transaction_id)
 WHERE posted.account = %(account)s
   AND posted.transaction_id > %(position)s
   AND posted.kind <> 'fill'
   AND entry.category = 'asset'
 GROUP BY entry.sub_account, entry.currency;

-- ledger_position --
-- How far the ledger goes.
SELECT COALESCE(max(transaction_id), 0) AS position
  FROM trading.ledger_transaction;

-- balances --
-- What each sub-account holds of each currency; zeros left out.
SELECT sub_account, currency, amount
  FROM trading.balance_fold
 WHERE account = %(account)s
   AND amount <> 0;

-- record_reconciliation --
-- What one comparison found.
INSERT INTO trading.reconciliation (
  account, at, compared, clean, unknown_orders, discrepancies, full_history, run_id, dag_id
)
VALUES (
  %(account)s, %(at)s, %(compared)s, %(clean)s, %(unknown_orders)s, %(discrepancies)s, %(full_history)s, %(run_id)s,
  %(dag_id)s
);

-- resolve_discrepancies --
-- Open ones that a comparison found no more.
UPDATE trading.discrepancy
   SET resolved_at = %(at)s
 WHERE account = %(account)s
   AND resolved_at IS NULL
   AND NOT EXISTS (
     SELECT
       FROM unnest(%(kinds)s::text[], %(keys)s::text[]) AS found (kind, key)
      WHERE found.kind = discrepancy.kind
        AND found.key = discrepancy.key
   );

-- see_discrepancy --
-- A new one, or the newest figures of an open one: its first sight stays, and once confirmed it stays so.
INSERT INTO trading.discrepancy (
  account, kind, key, ours, theirs, first_seen_at, last_seen_at, sightings, confirmed, run_id, dag_id
)
VALUES (
  %(account)s, %(kind)s, %(key)s, %(ours)s, %(theirs)s, %(first_seen_at)s, %(at)s, %(sightings)s, %(confirmed)s,
  %(run_id)s, %(dag_id)s
)
ON CONFLICT (account, kind, key) WHERE resolved_at IS NULL DO UPDATE
   SET ours = excluded.ours,
       theirs = excluded.theirs,
       last_seen_at = excluded.last_seen_at,
       sightings = excluded.sightings,
       confirmed = discrepancy.confirmed OR excluded.confirmed,
       run_id = excluded.run_id,
       dag_id = excluded.dag_id;

-- newest_clean --
-- When both sides last agreed.
SELECT max(at) AS at
  FROM trading.reconciliation
 WHERE account = %(account)s
   AND clean
   AND (full_history OR NOT %(full_history)s);

-- open_discrepancies --
-- Those that nobody resolved, oldest first.
SELECT kind, key, ours, theirs, first_seen_at, confirmed, sightings
  FROM trading.discrepancy
 WHERE account = %(account)s
   AND resolved_at IS NULL
 ORDER BY first_seen_at, kind COLLATE "C", key COLLATE "C";

-- acknowledge --
-- Somebody took note of it; a second time changes nothing.
INSERT INTO trading.acknowledgement (account, kind, key, theirs, run_id, dag_id)
VALUES (%(account)s, %(kind)s, %(key)s, %(theirs)s, %(run_id)s, %(dag_id)s)
ON CONFLICT DO NOTHING;

-- acknowledged --
-- All that was ever taken note of.
SELECT kind, key, theirs
  FROM trading.acknowledgement
 WHERE account = %(account)s;
