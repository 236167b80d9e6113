"""Pure nouns: no clock, no environment, no I/O."""
