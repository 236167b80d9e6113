"""What is remembered of the ledger outside of it, so that a ledger that was restored cannot pass for the newest one."""

from typing import Protocol

from trading.domain.restore import Mark


class Witness(Protocol):
    """The newest run that was seen committed, of one account."""

    def read(self) -> Mark | None:
        """What was written last; None where nothing ever was. Raises ConfigurationError where it cannot be read."""
        ...

    def write(self, mark: Mark) -> None:
        """Replace it, durably. Raises ConfigurationError where that cannot be done."""
        ...
