"""What both ledgers promise of venues' tests, and what an order in sandbox or live rests on."""

from dataclasses import replace

import pytest

from tests.examples import MINUTE, RUN, T0
from trading.domain.conformance import Conformance, ConformanceRequired, ConformanceStep, StepVerdict, Target
from trading.errors import ConfigurationError
from trading.ports.ledger import Ledger

PASSED = Conformance(
    venue="binance",
    target=Target.SANDBOX,
    address="https://testnet.binance.vision",
    at=T0,
    code_version="0.1.0",
    ccxt_version="4.5.90",
    steps=(ConformanceStep("place", StepVerdict.PASSED, "order 1"), ConformanceStep("cancel", StepVerdict.PASSED, "")),
)
FAILED = replace(PASSED, at=T0 + MINUTE, steps=(ConformanceStep("place", StepVerdict.FAILED, "no answer"),))
SKIPPED = replace(PASSED, steps=(ConformanceStep("cancel", StepVerdict.SKIPPED, "not tried"),))
REQUIRED = ConformanceRequired(venue="binance", mode="live", ccxt_version="4.5.90")


def test_the_newest_test_of_a_target_is_told_as_it_was_stored(ledger: Ledger) -> None:
    """A test on the paper exchange is not one on the sandbox."""
    paper = replace(PASSED, target=Target.PAPER, address="http://127.0.0.1:8900")
    with ledger.transaction() as books:
        assert books.conformances.newest("binance", Target.SANDBOX) is None
        for one in (FAILED, PASSED, paper):
            books.conformances.record(one, RUN)
    with ledger.transaction() as books:
        assert books.conformances.newest("binance", Target.SANDBOX) == PASSED
        assert books.conformances.newest("binance", Target.PAPER) == paper
        assert books.conformances.newest("kraken", Target.SANDBOX) is None


@pytest.mark.parametrize(
    ("newest", "why"),
    [
        (None, "was never tested on its sandbox"),
        (FAILED, r"failed its newest test at 2026-03-02 .*\(place\)"),
        (SKIPPED, "failed its newest test"),
        (replace(PASSED, steps=()), "failed its newest test"),
        (replace(PASSED, ccxt_version="4.5.89"), "was tested with ccxt 4.5.89, this is 4.5.90"),
    ],
)
def test_no_order_goes_where_the_newest_test_was_not_passed(newest: Conformance | None, why: str) -> None:
    """One sentence: the venue, why, and the command."""
    with pytest.raises(ConfigurationError, match=rf"no order may go to binance in mode live, since it {why}") as caught:
        REQUIRED.check(newest)
    assert "`TRADING_MODE=sandbox trading doctor --venue binance`" in str(caught.value)


def test_a_passed_test_with_this_ccxt_is_enough() -> None:
    assert "passed with ccxt 4.5.90" in REQUIRED.check(PASSED)
