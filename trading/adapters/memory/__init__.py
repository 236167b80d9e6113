"""Everything behind the ports in memory: for tests, simulations and backtests."""
