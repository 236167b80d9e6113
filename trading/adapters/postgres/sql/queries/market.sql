-- current_instruments --
-- The valid version of each instrument.
SELECT symbol, venue_symbol, base, quote, tick_size, lot_step, min_quantity, max_quantity, min_notional,
       market_lot_step, market_max_quantity, price_multiplier_up, price_multiplier_down, max_open_orders, trading
  FROM trading.instrument
 WHERE valid_to IS NULL
 ORDER BY symbol;

-- lock_instruments --
-- One writer of versions at a time.
SELECT pg_advisory_xact_lock(hashtext('trading.instrument'));

-- end_instrument --
-- The valid version ends where a new one begins.
UPDATE trading.instrument
   SET valid_to = GREATEST(%(at)s, valid_from)
 WHERE symbol = %(symbol)s
   AND valid_to IS NULL;

-- add_instrument --
-- The next version.
INSERT INTO trading.instrument (
  symbol, version, venue_symbol, base, quote, tick_size, lot_step, min_quantity, max_quantity, min_notional,
  market_lot_step, market_max_quantity, price_multiplier_up, price_multiplier_down, max_open_orders, trading,
  valid_from, run_id, dag_id
)
SELECT %(symbol)s, COALESCE(max(version), 0) + 1, %(venue_symbol)s, %(base)s, %(quote)s, %(tick_size)s, %(lot_step)s,
       %(min_quantity)s, %(max_quantity)s, %(min_notional)s, %(market_lot_step)s, %(market_max_quantity)s,
       %(price_multiplier_up)s, %(price_multiplier_down)s, %(max_open_orders)s, %(trading)s,
       %(at)s, %(run_id)s, %(dag_id)s
  FROM trading.instrument
 WHERE symbol = %(symbol)s;

-- newest_candles --
-- The newest stored open by instrument, from the end of the primary key.
SELECT wanted.instrument,
       newest.open_time
  FROM unnest(%(instruments)s::text[]) AS wanted (instrument)
 CROSS JOIN LATERAL (
   SELECT open_time
     FROM trading.candle
    WHERE candle.instrument = wanted.instrument
      AND candle.timeframe = %(timeframe)s
    ORDER BY open_time DESC
    LIMIT 1
 ) AS newest;

-- upsert_candles --
-- New candles in, changed ones restated (a trigger keeps what they were), equal ones left alone.
-- Written in order of time, so that two ingesters of one range wait for each other and never in a circle.
WITH written AS (
  INSERT INTO trading.candle (
    instrument, timeframe, open_time, open, high, low, close, volume, run_id, ingested_at
  )
  SELECT %(instrument)s,
         %(timeframe)s,
         'epoch'::timestamptz + open_ms * INTERVAL '1 millisecond',
         open, high, low, close, volume,
         %(run_id)s,
         %(at)s
    FROM unnest(
           %(open_ms)s::bigint[], %(open)s::float8[], %(high)s::float8[], %(low)s::float8[], %(close)s::float8[],
           %(volume)s::float8[]
         ) AS incoming (open_ms, open, high, low, close, volume)
   ORDER BY open_ms
  ON CONFLICT (instrument, timeframe, open_time) DO UPDATE
     SET open = excluded.open,
         high = excluded.high,
         low = excluded.low,
         close = excluded.close,
         volume = excluded.volume,
         run_id = excluded.run_id,
         ingested_at = excluded.ingested_at
   WHERE (candle.open, candle.high, candle.low, candle.close, candle.volume)
         IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
  RETURNING xmax = 0 AS is_new  -- a row that no transaction had before carries no older one's mark
)
SELECT count(*) FILTER (WHERE is_new) AS inserted,
       count(*) FILTER (WHERE NOT is_new) AS revised
  FROM written;

-- quarantine_candle --
-- What was refused, once.
INSERT INTO trading.candle_quarantine (
  instrument, timeframe, open_time, values, reason, run_id, quarantined_at
)
VALUES (
  %(instrument)s, %(timeframe)s, 'epoch'::timestamptz + %(open_ms)s * INTERVAL '1 millisecond', %(values)s::float8[],
  %(reason)s, %(run_id)s, %(at)s
)
ON CONFLICT DO NOTHING;

-- panel --
-- A window of candles, one packed row an instrument: 8 bytes of time (µs since 2000) and five float64, big-endian.
SELECT instrument,
       string_agg(
         timestamptz_send(open_time) || float8send(open) || float8send(high) || float8send(low) || float8send(close)
           || float8send(volume),
         ''
       ) AS packed
  FROM trading.candle
 WHERE instrument = ANY (%(instruments)s)
   AND timeframe = %(timeframe)s
   AND open_time >= %(first)s
   AND open_time < %(end)s
 GROUP BY instrument;

-- count_candles --
-- How many there are.
SELECT count(*) AS candles
  FROM trading.candle;
