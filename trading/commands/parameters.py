"""NAME=VALUE on the command line."""

from collections.abc import Sequence

import typer


def named_values(items: Sequence[str] | None) -> dict[str, str]:
    """Each value by its name."""
    found: dict[str, str] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not (name and equals and value) or name in found:
            raise typer.BadParameter(f"{item!r}: expected NAME=VALUE, each name once")
        found[name] = value
    return found
