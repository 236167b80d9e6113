"""Pure functions from a panel of candles to target weights."""
