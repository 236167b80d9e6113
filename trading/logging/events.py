"""One way to log what happened: a past-tense event name, and its facts as fields."""

import logging


def log_event(logger: logging.Logger, event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log `event` (snake_case, past tense) with its facts as fields of the line."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"event": event, **fields}, stacklevel=2)
