"""What an account holds at the venue: free to use, and locked by open orders."""

from collections.abc import Mapping
from decimal import Decimal, localcontext

from trading.domain.ledger import Balance
from trading.domain.money import EXACT, ZERO
from trading.errors import InvariantViolation


class Purse:
    """Balances by currency, never below zero."""

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self._balances = {currency: Balance(free=free, locked=ZERO) for currency, free in balances.items()}

    def free(self, currency: str) -> Decimal:
        """What may be spent."""
        return self._of(currency).free

    def balances(self) -> dict[str, Balance]:
        """Every balance that is not zero."""
        return {currency: balance for currency, balance in self._balances.items() if balance.total}

    def lock(self, currency: str, amount: Decimal) -> None:
        """Move `amount` from free to locked; a negative amount moves it back."""
        self.change(currency, free=-amount, locked=amount)

    def change(self, currency: str, *, free: Decimal = ZERO, locked: Decimal = ZERO) -> None:
        """Add to a balance. Raises InvariantViolation where it would fall below zero."""
        before = self._of(currency)
        with localcontext(EXACT):
            after = Balance(free=before.free + free, locked=before.locked + locked)
        if after.free < 0 or after.locked < 0:
            raise InvariantViolation(f"{currency}: expected >= 0, got {after.free} free and {after.locked} locked")
        self._balances[currency] = after

    def _of(self, currency: str) -> Balance:
        return self._balances.get(currency, Balance(free=ZERO, locked=ZERO))
