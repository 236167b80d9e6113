"""Bounded retries of what may be done twice: reads of a venue, and connecting to the database."""

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def stamina() -> ModuleType:
    """The package, imported when first needed (0.1 s), telling of its retries through `logging`.

    Left alone it would print them on standard output, which belongs to the answers of commands.
    """
    package = import_module("stamina")
    package.instrumentation.set_on_retry_hooks([package.instrumentation.LoggingOnRetryHook])
    return package
