"""What a venue lets an API key do, and which keys are refused."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRights:
    """A key's rights as the venue tells them. `transfers`: money may leave for another account of the venue."""

    trades: bool
    withdraws: bool
    transfers: bool
    bound_to_addresses: bool

    def fault(self) -> str | None:
        """Why no order may be sent with such a key; None where it may trade and nothing else."""
        if self.withdraws:
            return "may withdraw: whoever steals it takes the money; make one without the right to withdraw"
        if self.transfers:
            return "may transfer to other accounts: make one that cannot move money"
        if not self.trades:
            return "may not trade: enable spot trading for it, and nothing else"
        return None

    def advice(self) -> str | None:
        """What would be better, and is no reason to refuse the key."""
        return None if self.bound_to_addresses else "works from everywhere: restrict it to this machine's address"
