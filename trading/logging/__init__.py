"""JSON logs that carry the run's id."""
