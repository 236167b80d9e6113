"""The paper exchange: an HTTP server that unmodified ccxt talks to."""
