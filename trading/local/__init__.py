"""What `make run` needs: supervisor, embedded PostgreSQL, first-run steps."""
