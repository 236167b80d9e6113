"""What is remembered of the ledger outside of it."""

from trading.domain.restore import Mark


class MemoryWitness:
    """Witness that lasts as long as the process."""

    def __init__(self) -> None:
        self._mark: Mark | None = None

    def read(self) -> Mark | None:
        """What was written last."""
        return self._mark

    def write(self, mark: Mark) -> None:
        """Replace it."""
        self._mark = mark
