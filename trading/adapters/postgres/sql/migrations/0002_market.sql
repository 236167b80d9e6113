-- What is traded and what was seen of it. Candles are float64: analysis, never money.

CREATE TABLE trading.instrument (
  symbol                 text           NOT NULL,
  version                integer        NOT NULL,
  venue_symbol           text           NOT NULL,
  base                   text           NOT NULL,
  quote                  text           NOT NULL,
  tick_size              trading.amount NOT NULL,
  lot_step               trading.amount NOT NULL,
  min_quantity           trading.amount NOT NULL,
  max_quantity           trading.amount NOT NULL,
  min_notional           trading.amount NOT NULL,
  market_lot_step        trading.amount NOT NULL,
  market_max_quantity    trading.amount NOT NULL,
  price_multiplier_up    trading.amount NOT NULL,
  price_multiplier_down  trading.amount NOT NULL,
  max_open_orders        integer        NOT NULL,
  trading                boolean        NOT NULL,
  valid_from             timestamptz    NOT NULL,
  valid_to               timestamptz,
  run_id                 text           NOT NULL,
  dag_id                 text           NOT NULL,
  CONSTRAINT instrument_key PRIMARY KEY (symbol, version),
  -- prevents a version that ends before it starts
  CONSTRAINT instrument_period CHECK (valid_to IS NULL OR valid_to >= valid_from),
  -- prevents steps and limits below zero; zero means unset
  CONSTRAINT instrument_filters CHECK (
    LEAST(tick_size, lot_step, min_quantity, max_quantity, min_notional, market_lot_step, market_max_quantity) >= 0
    AND max_open_orders >= 0
  )
);

-- prevents two versions of an instrument that are both valid
CREATE UNIQUE INDEX instrument_valid ON trading.instrument (symbol) WHERE valid_to IS NULL;

COMMENT ON TABLE trading.instrument IS 'Instruments with the venue''s filters; a change is a new version, the old one keeps its dates.';


CREATE TABLE trading.candle (
  instrument   text             NOT NULL,
  timeframe    text             NOT NULL,
  open_time    timestamptz      NOT NULL,
  open         double precision NOT NULL,
  high         double precision NOT NULL,
  low          double precision NOT NULL,
  close        double precision NOT NULL,
  volume       double precision NOT NULL,
  run_id       text             NOT NULL,
  ingested_at  timestamptz      NOT NULL,
  -- prevents two candles of one period
  CONSTRAINT candle_key PRIMARY KEY (instrument, timeframe, open_time),
  -- prevents a candle that no market can have made, NaN and infinity among them
  CONSTRAINT candle_is_sane CHECK (
    low > 0 AND low <= LEAST(open, close) AND high >= GREATEST(open, close)
    AND high < 'Infinity' AND volume >= 0 AND volume < 'Infinity'
  )
);

COMMENT ON TABLE trading.candle IS 'Closed candles over [open_time, open_time + timeframe), as the venue told them last.';


CREATE TABLE trading.candle_revision (
  revision     bigint           GENERATED ALWAYS AS IDENTITY CONSTRAINT candle_revision_key PRIMARY KEY,
  instrument   text             NOT NULL,
  timeframe    text             NOT NULL,
  open_time    timestamptz      NOT NULL,
  open         double precision NOT NULL,
  high         double precision NOT NULL,
  low          double precision NOT NULL,
  close        double precision NOT NULL,
  volume       double precision NOT NULL,
  run_id       text             NOT NULL,
  ingested_at  timestamptz      NOT NULL,
  replaced_by  text             NOT NULL,  -- the run that restated it
  replaced_at  timestamptz      NOT NULL
);

CREATE INDEX candle_revision_of ON trading.candle_revision (instrument, timeframe, open_time);

COMMENT ON TABLE trading.candle_revision IS 'What a candle was before the venue restated it.';


CREATE FUNCTION trading.keep_candle() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
  INSERT INTO trading.candle_revision (
    instrument, timeframe, open_time, open, high, low, close, volume, run_id, ingested_at, replaced_by, replaced_at
  )
  VALUES (
    OLD.instrument, OLD.timeframe, OLD.open_time, OLD.open, OLD.high, OLD.low, OLD.close, OLD.volume,
    OLD.run_id, OLD.ingested_at, NEW.run_id, NEW.ingested_at
  );
  RETURN NULL;
END;
$$;

-- prevents a restatement that leaves no trace, whoever makes it
CREATE TRIGGER candle_is_kept
  AFTER UPDATE ON trading.candle
  FOR EACH ROW EXECUTE FUNCTION trading.keep_candle();

CREATE TRIGGER candle_revision_is_immutable
  BEFORE UPDATE OR DELETE OR TRUNCATE ON trading.candle_revision
  FOR EACH STATEMENT EXECUTE FUNCTION trading.refuse_change();


CREATE TABLE trading.candle_quarantine (
  instrument      text               NOT NULL,
  timeframe       text               NOT NULL,
  open_time       timestamptz        NOT NULL,
  values          double precision[] NOT NULL,  -- open, high, low, close, volume, as the venue gave them
  reason          text               NOT NULL,
  run_id          text               NOT NULL,
  quarantined_at  timestamptz        NOT NULL,
  -- prevents the same refusal from being kept at every run
  CONSTRAINT candle_quarantine_key PRIMARY KEY (instrument, timeframe, open_time, reason, values),
  -- prevents a row that is no candle
  CONSTRAINT candle_quarantine_values CHECK (cardinality(values) = 5)
);

COMMENT ON TABLE trading.candle_quarantine IS 'Candles that may not be trusted, and why.';
