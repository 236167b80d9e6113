"""What is remembered of the ledger outside of it: a small file beside the logs."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import orjson

from trading.domain.restore import Mark
from trading.errors import ConfigurationError


class FileWitness:
    """Witness in one file. Writers replace it as a whole: whoever comes last wins, and each mark is a true one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mark | None:
        """What was written last; None where there is no file. Raises ConfigurationError for anything else."""
        try:
            facts = orjson.loads(self._path.read_bytes())
            return Mark(
                run_id=str(facts["run_id"]),
                dag_id=str(facts["dag_id"]),
                flow=str(facts["flow"]),
                started_at=datetime.fromisoformat(facts["started_at"]).astimezone(UTC),
                incarnation=int(facts["incarnation"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                f"{self._path}, which remembers the ledger's newest run, cannot be read ({error}): nothing is sent;"
                " mend its permissions, or put the file aside and run `trading db restored --why TEXT`"
            ) from None

    def write(self, mark: Mark) -> None:
        """Replace the file in one step, on the disk when this returns."""
        facts = {
            "run_id": mark.run_id,
            "dag_id": mark.dag_id,
            "flow": mark.flow,
            "started_at": mark.started_at.isoformat(),
            "incarnation": mark.incarnation,
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(facts))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except OSError as error:
            raise ConfigurationError(
                f"{self._path}, which remembers the ledger's newest run, cannot be written ({error}): nothing is sent;"
                " make its folder writable, or set TRADING_HOME"
            ) from None
