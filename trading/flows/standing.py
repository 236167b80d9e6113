"""Standing: the halts that stand and what is in the way of ending them, for whoever is about to sign."""

from collections.abc import Sequence
from dataclasses import dataclass

from trading.domain.dual_control import Signature
from trading.domain.kill_switch import Halt
from trading.flows.calm import unfit, unsettled
from trading.ports.ledger import Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingHalts:
    """Halts, oldest first; first signatures that are alive; what any release would be refused for."""

    account: str
    environment: str
    halts: Sequence[Halt]
    waiting: Sequence[Signature]
    obstacles: Sequence[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {"halts": len(self.halts), "waiting": len(self.waiting), "obstacles": len(self.obstacles)}

    def lines(self) -> list[str]:
        """A line a fact, and how to sign for each halt."""
        said = [f"account {self.account} ({self.environment}): {len(self.halts)} halts stand"]
        for halt in self.halts:
            at = halt.engaged_at.isoformat(timespec="seconds")
            what = f"halt {halt.halt_id} ({halt.level}, {halt.scope}, {halt.effect})"
            said.append(f"{what}, by {halt.author} at {at}: {halt.reason}")
            sign = f"trading killswitch sign --halt {halt.halt_id} --scope {halt.scope}"
            said.append(f'  TRADING_MODE={self.environment} {sign} --reason "..."')
        for one in self.waiting:
            until = one.expires_at.isoformat(timespec="seconds")
            said.append(f"halt {one.halt_id}: {one.person} signed {one.action} with {one.key_id}, alive until {until}")
        if self.halts:
            said.append("released, the strategies trade again at their next decision, and may buy what was closed:")
            said.append("  `trading killswitch engage --level pause-entries` before it keeps them from buying")
        said += [f"in the way: {obstacle}" for obstacle in self.obstacles]
        return said if self.obstacles else [*said, "nothing is in the way of a release"]

    @property
    def markdown(self) -> str:
        """The lines as one block in which nothing is markup: anybody may have written a halt's reason."""
        return "\n".join(["```", *(" ".join(line.replace("`", "'").split("\n")) for line in self.lines()), "```"])


class Standing:
    """Ask the books. Reads only."""

    def __init__(self, ledger: Ledger, *, account: str, environment: str) -> None:
        self._ledger = ledger
        self._account = account
        self._environment = environment

    def run(self) -> StandingHalts:
        """What stands now."""
        with self._ledger.transaction() as books:
            account, at = books.accounts.lock(self._account), books.now()
            halts = books.control.halts(self._account)
            signed = [one for halt in halts for one in books.control.waiting(self._account, halt.halt_id)]
            obstacles = [*unfit(books, account), *unsettled(books, account)]
        return StandingHalts(
            account=self._account,
            environment=self._environment,
            halts=halts,
            waiting=[one for one in signed if one.expires_at > at],
            obstacles=obstacles,
        )
