"""Commands that are imported when they are used, so that `trading --help` does not wait for the whole pipeline."""

from collections.abc import Callable
from typing import Any, Final

import typer
import typer.core
import typer.main

#: Options that Typer adds to an app which it takes for a whole program.
_COMPLETION: Final = ("install_completion", "show_completion")


class DeferredCommand(typer.core.TyperCommand):
    """Stands for `name` in the list of commands; parsing its arguments loads the app that holds it."""

    def __init__(self, name: str, summary: str, *, panel: str, load: Callable[[], typer.Typer]) -> None:
        super().__init__(name, help=summary, rich_help_panel=panel)
        self._load = load

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, which is thereby what gets invoked."""
        return self.loaded().make_context(info_name, args, parent, **extra)

    def loaded(self) -> Any:
        """The command: the app's own of this name, or the app as a whole where it is this group or command alone."""
        found: Any = typer.main.get_command(self._load())
        found.params = [option for option in found.params if option.name not in _COMPLETION]
        return getattr(found, "commands", {}).get(self.name, found)
