"""A ledger with a past: filled orders of long ago, which SQL writes in bulk."""

from typing import Final

import psycopg

from tests.benchmarks.stage import STRATEGY

#: A market buy of 0.001 BTC each: planned, signed, accepted and filled an hour ago and more, a second apart.
OLD_ORDERS: Final = (
    """
    CREATE TEMPORARY TABLE old ON COMMIT DROP AS
    SELECT n, md5(n::text) AS id, clock_timestamp() - INTERVAL '1 hour' - n * INTERVAL '1 second' AS at
      FROM generate_series(1, %(number)s) AS n
    """,
    """
    INSERT INTO trading.order_intent (
      client_order_id, account, incarnation, strategy, instrument, timeframe, as_of, purpose, generation, side,
      order_type, quantity, reference_price, target_quantity, planned_at, expires_at, run_id, dag_id
    )
    SELECT id, %(account)s, 1, %(strategy)s, 'BTC/USDT', '1m', at, 'rebalance', 0, 'buy', 'market', 0.001, 70000, 1,
           at, at + INTERVAL '1 minute', 'old', 'old'
      FROM old
     ORDER BY n DESC
    """,
    """
    INSERT INTO trading.order_event (
      client_order_id, sequence, account, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
      request_hash, epoch, detail, code_version, chain_sequence, previous_hash, hash
    )
    SELECT id, step - 1, %(account)s, (ARRAY['planned', 'submitting', 'accepted', 'filled'])[step], at, 'old', 'old',
           '', CASE WHEN step > 2 THEN n::text END, CASE step WHEN 2 THEN at END, CASE step WHEN 2 THEN 2000 END,
           CASE step WHEN 2 THEN id END, CASE step WHEN 2 THEN 1 END, '{}', 'bench', -4 * n + step, '', ''
      FROM old
     CROSS JOIN generate_series(1, 4) AS step
     ORDER BY n DESC, step
    """,
    """
    INSERT INTO trading.order_fold (
      client_order_id, account, is_open, state, sequence, changed_at, venue_order_id, signed_at, recv_window_ms,
      request_hash, reason, strategy, instrument, side, quantity
    )
    SELECT id, %(account)s, false, 'filled', 3, at, n::text, at, 2000, id, '', %(strategy)s, 'BTC/USDT', 'buy', 0.001
      FROM old
    """,
    """
    INSERT INTO trading.fill (
      account, venue, instrument, venue_fill_id, venue_order_id, client_order_id, side, price, quantity, fee,
      fee_currency, filled_at, is_maker, run_id, dag_id
    )
    SELECT %(account)s, 'binance', 'BTC/USDT', n::text, n::text, id, 'buy', 70000, 0.001, 0.000001, 'BTC', at, false,
           'old', 'old'
      FROM old
     ORDER BY n DESC
    """,
    """
    WITH posted AS (
      INSERT INTO trading.ledger_transaction (account, kind, reference, occurred_at, run_id, dag_id)
      SELECT %(account)s, 'fill', 'fill:binance:BTC/USDT:' || n, at, 'old', 'old'
        FROM old
       ORDER BY n DESC
      RETURNING transaction_id
    )
    INSERT INTO trading.ledger_entry (transaction_id, leg, account, sub_account, category, currency, amount)
    SELECT transaction_id, leg, %(account)s, %(strategy)s, category, currency, amount
      FROM posted
     CROSS JOIN (
       VALUES (1, 'asset', 'BTC', 0.001), (2, 'conversion', 'BTC', -0.001), (3, 'asset', 'USDT', -70),
              (4, 'conversion', 'USDT', 70), (5, 'asset', 'BTC', -0.000001), (6, 'fee', 'BTC', 0.000001)
     ) AS legs (leg, category, currency, amount)
    """,
    """
    INSERT INTO trading.position_fold (
      account, strategy, instrument, quantity, cost, realised, newest_fill_at, newest_fill_id
    )
    SELECT %(account)s, %(strategy)s, 'BTC/USDT', 0.000999 * count(*), 70 * count(*), 0, max(at), '1'
      FROM old
    """,
    """
    UPDATE trading.balance_fold
       SET amount = amount - 70 * %(number)s
     WHERE account = %(account)s
       AND sub_account = %(strategy)s
       AND currency = 'USDT'
    """,
    """
    INSERT INTO trading.balance_fold (account, sub_account, currency, amount)
    VALUES (%(account)s, %(strategy)s, 'BTC', 0.000999 * %(number)s)
    """,
)


def write_old_orders(url: str, account: str, number: int) -> None:
    """Filled orders of long ago, with their events, fills and entries, in bulk: triggers and checks sleep meanwhile."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in OLD_ORDERS:
            connection.execute(statement, {"account": account, "strategy": STRATEGY, "number": number})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
