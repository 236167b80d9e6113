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

-- oldest_candle --
-- The oldest stored open, from the start of the primary key.
SELECT open_time
  FROM trading.candle
 WHERE instrument = %(instrument)s
   AND timeframe = %(timeframe)s
 ORDER BY open_time
 LIMIT 1;

-- close_before --
-- The close of the newest candle before an open.
SELECT close
  FROM trading.candle
 WHERE instrument = %(instrument)s
   AND timeframe = %(timeframe)s
   AND open_time < %(before)s
 ORDER BY open_time DESC
 LIMIT 1;

-- lock_candles --
-- One writer at a time of an instrument's candles and gaps of one timeframe, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('trading.candle'), hashtext(%(instrument)s || ' ' || %(timeframe)s));

-- copy_candles --
-- New candles as binary rows. The lock is held, and none of them is stored.
COPY trading.candle (
  instrument, timeframe, open_time, open, high, low, close, volume, run_id, ingested_at
) FROM STDIN (FORMAT BINARY);

-- restate_candles --
-- What the venue tells otherwise now; a trigger keeps what it was.
UPDATE trading.candle
   SET open = restated.open,
       high = restated.high,
       low = restated.low,
       close = restated.close,
       volume = restated.volume,
       run_id = %(run_id)s,
       ingested_at = GREATEST(%(at)s, candle.ingested_at)  -- a worker's clock that is behind turns no history around
  FROM unnest(
         %(open_ms)s::bigint[], %(open)s::float8[], %(high)s::float8[], %(low)s::float8[], %(close)s::float8[],
         %(volume)s::float8[]
       ) AS restated (open_ms, open, high, low, close, volume)
 WHERE candle.instrument = %(instrument)s
   AND candle.timeframe = %(timeframe)s
   AND candle.open_time = 'epoch'::timestamptz + restated.open_ms * INTERVAL '1 millisecond';

-- quarantine_candles --
-- What was refused, once each.
INSERT INTO trading.candle_quarantine (
  instrument, timeframe, open_time, values, reason, run_id, quarantined_at
)
SELECT %(instrument)s,
       %(timeframe)s,
       'epoch'::timestamptz + open_ms * INTERVAL '1 millisecond',
       ARRAY[open, high, low, close, volume],
       reason,
       %(run_id)s,
       %(at)s
  FROM unnest(
         %(open_ms)s::bigint[], %(open)s::float8[], %(high)s::float8[], %(low)s::float8[], %(close)s::float8[],
         %(volume)s::float8[], %(reason)s::text[]
       ) AS refused (open_ms, open, high, low, close, volume, reason)
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

-- panel_as_known --
-- The same window as it was known at some time: what was stored by then, and not yet replaced.
SELECT instrument,
       string_agg(
         timestamptz_send(open_time) || float8send(open) || float8send(high) || float8send(low) || float8send(close)
           || float8send(volume),
         ''
       ) AS packed
  FROM (
         SELECT instrument, open_time, open, high, low, close, volume
           FROM trading.candle
          WHERE instrument = ANY (%(instruments)s)
            AND timeframe = %(timeframe)s
            AND open_time >= %(first)s
            AND open_time < %(end)s
            AND ingested_at <= %(known_at)s
          UNION ALL
         SELECT instrument, open_time, open, high, low, close, volume
           FROM trading.candle_revision
          WHERE instrument = ANY (%(instruments)s)
            AND timeframe = %(timeframe)s
            AND open_time >= %(first)s
            AND open_time < %(end)s
            AND ingested_at <= %(known_at)s
            AND replaced_at > %(known_at)s
       ) AS known
 GROUP BY instrument;

-- candle_gaps --
-- Gaps that overlap or touch a window, ascending; with known_at as they were known then.
SELECT from_time,
       to_time,
       kind
  FROM trading.candle_gap
 WHERE instrument = %(instrument)s
   AND timeframe = %(timeframe)s
   AND from_time <= %(end)s
   AND to_time >= %(first)s
   AND CASE
         WHEN %(known_at)s::timestamptz IS NULL THEN superseded_at IS NULL
         ELSE noted_at <= %(known_at)s AND (superseded_at IS NULL OR superseded_at > %(known_at)s)
       END
 ORDER BY from_time;

-- supersede_gaps --
-- Valid gaps that are no more.
UPDATE trading.candle_gap
   SET superseded_by = %(run_id)s,
       superseded_at = GREATEST(%(at)s, noted_at)
 WHERE instrument = %(instrument)s
   AND timeframe = %(timeframe)s
   AND superseded_at IS NULL
   AND from_time = ANY (%(from_times)s);

-- note_gaps --
-- Gaps that are valid from here on.
INSERT INTO trading.candle_gap (instrument, timeframe, from_time, to_time, kind, run_id, noted_at)
SELECT %(instrument)s, %(timeframe)s, from_time, to_time, kind, %(run_id)s, %(at)s
  FROM unnest(%(from_times)s::timestamptz[], %(to_times)s::timestamptz[], %(kinds)s::text[])
         AS noted (from_time, to_time, kind);

-- candle_standings --
-- What is stored, by instrument and timeframe.
SELECT stored.*,
       COALESCE(missing.gaps, 0) AS gaps,
       COALESCE(missing.no_trades_s, 0)::bigint AS no_trades_s,
       COALESCE(missing.outage_s, 0)::bigint AS outage_s,
       COALESCE(refused.quarantined, 0) AS quarantined,
       COALESCE(restated.revisions, 0) AS revisions,
       restated.last_revision_at
  FROM (
         SELECT instrument, timeframe, count(*) AS candles, min(open_time) AS first_open, max(open_time) AS last_open
           FROM trading.candle
          GROUP BY instrument, timeframe
       ) AS stored
  LEFT JOIN (
         SELECT instrument,
                timeframe,
                count(*) AS gaps,
                sum(extract(epoch FROM to_time - from_time)) FILTER (WHERE kind = 'no_trades') AS no_trades_s,
                sum(extract(epoch FROM to_time - from_time)) FILTER (WHERE kind = 'outage') AS outage_s
           FROM trading.candle_gap
          WHERE superseded_at IS NULL
          GROUP BY instrument, timeframe
       ) AS missing USING (instrument, timeframe)
  LEFT JOIN (
         SELECT instrument, timeframe, count(*) AS quarantined
           FROM trading.candle_quarantine
          GROUP BY instrument, timeframe
       ) AS refused USING (instrument, timeframe)
  LEFT JOIN (
         SELECT instrument, timeframe, count(*) AS revisions, max(replaced_at) AS last_revision_at
           FROM trading.candle_revision
          GROUP BY instrument, timeframe
       ) AS restated USING (instrument, timeframe)
 ORDER BY instrument, timeframe;

-- count_candles --
-- How many there are.
SELECT count(*) AS candles
  FROM trading.candle;
