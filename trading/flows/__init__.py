"""Gather, decide, apply: one file a flow."""
