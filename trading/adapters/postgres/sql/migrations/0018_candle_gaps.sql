-- What is missing is a fact too: gaps, each with its kind and with when it was known.

CREATE TABLE trading.candle_gap (
  gap            bigint       GENERATED ALWAYS AS IDENTITY CONSTRAINT candle_gap_key PRIMARY KEY,
  instrument     text         NOT NULL,
  timeframe      text         NOT NULL,
  from_time      timestamptz  NOT NULL,  -- the open of the first candle that is missing
  to_time        timestamptz  NOT NULL,  -- the open of the first one after the gap
  kind           text         NOT NULL,
  run_id         text         NOT NULL,
  noted_at       timestamptz  NOT NULL,
  superseded_by  text,                   -- the run that found candles there, or more of them missing
  superseded_at  timestamptz,
  -- prevents a gap without a candle in it
  CONSTRAINT candle_gap_period CHECK (to_time > from_time),
  -- prevents a third meaning
  CONSTRAINT candle_gap_kind CHECK (kind IN ('no_trades', 'outage')),
  -- prevents an end that nobody made
  CONSTRAINT candle_gap_superseded CHECK ((superseded_by IS NULL) = (superseded_at IS NULL))
);

-- prevents two valid gaps that begin at once; and finds the valid ones of a window
CREATE UNIQUE INDEX candle_gap_valid ON trading.candle_gap (instrument, timeframe, from_time)
  WHERE superseded_at IS NULL;

COMMENT ON TABLE trading.candle_gap IS 'Candles that the venue was asked for and did not give: no trades, or an outage.';

-- prevents that what was known at some time is forgotten
CREATE TRIGGER candle_gap_is_kept
  BEFORE DELETE OR TRUNCATE ON trading.candle_gap
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();

-- Refusals are listed by time; so are restatements.
CREATE INDEX candle_quarantine_at ON trading.candle_quarantine (instrument, timeframe, quarantined_at);


-- Where TimescaleDB is installed in this database, candles are a hypertable that compresses what is older than a month.
-- Whatever it objects to, the plain table goes on.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb') THEN
    EXECUTE 'SELECT create_hypertable(''trading.candle'', ''open_time'', migrate_data => true,'
      ' chunk_time_interval => INTERVAL ''7 days'')';
    EXECUTE 'ALTER TABLE trading.candle SET (timescaledb.compress,'
      ' timescaledb.compress_segmentby = ''instrument, timeframe'')';
    EXECUTE 'SELECT add_compression_policy(''trading.candle'', INTERVAL ''30 days'')';
  END IF;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'trading.candle stays a plain table, TimescaleDB refused: %', SQLERRM;
END;
$$;
