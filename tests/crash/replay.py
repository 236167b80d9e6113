"""How a failure is seen again: one command, from its seed and its commit."""

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def commit() -> str:
    """The commit that is checked out, marked where files differ from it; empty outside a checkout."""
    try:
        named = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return named.stdout.strip()


def replay_command(suite: str, seed: int) -> str:
    """The command that runs this one seed again, and the commit at which it means the same."""
    at = commit()
    return f"python -m tests.crash --only {suite} --seed {seed}" + (f"  # at {at}" if at else "")
