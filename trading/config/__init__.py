"""Secrets, settings and the portfolio file: what the entrances read and hand inwards."""
