-- The paper exchange's own book. Nothing but the exchange writes it; anybody may read it.
-- Amounts are decimal text, exact. Times are milliseconds since 1970, UTC, on the exchange's clock.

CREATE TABLE IF NOT EXISTS meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS accounts (
  name          TEXT PRIMARY KEY,
  created_at_ms INTEGER NOT NULL
);

-- What an account was given: balances = deposits + what its fills changed.
CREATE TABLE IF NOT EXISTS deposits (
  account TEXT NOT NULL REFERENCES accounts (name),
  asset   TEXT NOT NULL,
  amount  TEXT NOT NULL,
  time_ms INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS balances (
  account TEXT NOT NULL REFERENCES accounts (name),
  asset   TEXT NOT NULL,
  free    TEXT NOT NULL,
  locked  TEXT NOT NULL,
  PRIMARY KEY (account, asset)
);

CREATE TABLE IF NOT EXISTS orders (
  order_id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account          TEXT NOT NULL REFERENCES accounts (name),
  client_order_id  TEXT NOT NULL,
  symbol           TEXT NOT NULL,
  side             TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
  type             TEXT NOT NULL CHECK (type IN ('MARKET', 'LIMIT', 'LIMIT_MAKER')),
  time_in_force    TEXT NOT NULL CHECK (time_in_force IN ('GTC', 'IOC', 'FOK')),
  price            TEXT NOT NULL, -- the limit; 0 for a market order
  lock_price       TEXT NOT NULL, -- what a buy locks per unit of base
  orig_qty         TEXT NOT NULL,
  orig_quote_qty   TEXT NOT NULL, -- of a market order given in quote, else 0
  executed_qty     TEXT NOT NULL,
  cumulative_quote TEXT NOT NULL,
  status           TEXT NOT NULL CHECK (status IN ('NEW', 'PARTIALLY_FILLED', 'FILLED', 'CANCELED', 'EXPIRED')),
  time_ms          INTEGER NOT NULL,
  updated_at_ms    INTEGER NOT NULL,
  next_candle_ms   INTEGER NOT NULL -- open of the first candle that has not yet been matched against it
);

-- Prevents two open orders of one client order id; after a fill the id is free again, as on Binance.
CREATE UNIQUE INDEX IF NOT EXISTS orders_open_client_order_id ON orders (account, symbol, client_order_id)
  WHERE status IN ('NEW', 'PARTIALLY_FILLED');
CREATE INDEX IF NOT EXISTS orders_client_order_id ON orders (account, client_order_id);

CREATE TABLE IF NOT EXISTS fills (
  trade_id         INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id         INTEGER NOT NULL REFERENCES orders (order_id),
  account          TEXT NOT NULL,
  symbol           TEXT NOT NULL,
  side             TEXT NOT NULL,
  price            TEXT NOT NULL,
  qty              TEXT NOT NULL,
  quote_qty        TEXT NOT NULL,
  commission       TEXT NOT NULL,
  commission_asset TEXT NOT NULL,
  is_maker         INTEGER NOT NULL CHECK (is_maker IN (0, 1)),
  time_ms          INTEGER NOT NULL,
  candle_open_ms   INTEGER NOT NULL -- of the candle that decided it
);
CREATE INDEX IF NOT EXISTS fills_order ON fills (order_id);
CREATE INDEX IF NOT EXISTS fills_candle ON fills (symbol, candle_open_ms);

CREATE TABLE IF NOT EXISTS request_log (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at_ms  INTEGER NOT NULL,
  account         TEXT,    -- NULL where the request was not signed by a known key
  method          TEXT NOT NULL,
  path            TEXT NOT NULL,
  client_order_id TEXT,
  status          INTEGER NOT NULL, -- of HTTP
  code            INTEGER, -- Binance's error code, NULL where it succeeded
  query           TEXT NOT NULL -- query and body, without the signature
);
CREATE INDEX IF NOT EXISTS request_log_client_order_id ON request_log (client_order_id);
