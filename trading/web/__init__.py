"""The desk's app and the request id."""
