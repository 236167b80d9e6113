"""What both ledgers promise of the outbox."""

from datetime import timedelta

from tests.examples import ACCOUNT, MINUTE, T0
from trading.domain.alert_messages import Message, due
from trading.domain.alerts import AlertKind, Condition, Delivery
from trading.ports.ledger import Ledger

HALT = Condition(kind=AlertKind.HALT_ENGAGED, subject="7", at=T0, sentence="halt 7 by ada: why", run_id="r1")
LEASE = Condition(kind=AlertKind.LEASE_EXPIRED, subject="", at=T0, sentence="it ended")
LATER = T0 + timedelta(hours=1)


def test_one_name_stands_once_and_may_come_again_when_it_is_over(ledger: Ledger) -> None:
    """However often it is recorded; another account's is another one."""
    with ledger.transaction() as books:
        assert books.alerts.lead(ACCOUNT)
        books.alerts.record(ACCOUNT, [HALT, LEASE], at=T0)
        books.alerts.record(ACCOUNT, [HALT], at=T0 + MINUTE)
        books.alerts.record("other", [HALT], at=T0)
        halt, lease = books.alerts.known(ACCOUNT, LATER)
        assert (halt.name, halt.sentence, halt.run_id, halt.at) == (HALT.name, HALT.sentence, "r1", T0)
        books.alerts.end(ACCOUNT, [halt], at=T0 + MINUTE)
        books.alerts.end(ACCOUNT, [halt], at=LATER)
        assert [one.name for one in books.alerts.known(ACCOUNT, LATER)] == [lease.name]
        assert [one.ended_at for one in books.alerts.known(ACCOUNT, T0)] == [T0 + MINUTE, None]
        books.alerts.record(ACCOUNT, [HALT], at=LATER)
        names = [one.name for one in books.alerts.recent(ACCOUNT, 2)]
    assert names == [HALT.name, LEASE.name]


def test_each_channel_s_attempts_are_counted_and_its_last_answer_kept(ledger: Ledger) -> None:
    """Of the beginning and the end apart."""

    def message() -> Message:
        with ledger.transaction() as books:
            return due(books.alerts.known(ACCOUNT, T0), "alert_url", {}, at=T0, desk="")[0]

    with ledger.transaction() as books:
        books.alerts.record(ACCOUNT, [HALT], at=T0)
    for at, problem in ((T0, "it answered HTTP 500"), (LATER, "")):
        told = message()
        with ledger.transaction() as books:
            books.alerts.note(told, "alert_url", at=at, problem=problem)
    with ledger.transaction() as books:
        (alert,) = books.alerts.known(ACCOUNT, T0)
        books.alerts.end(ACCOUNT, [alert], at=LATER)
    assert alert.deliveries == {("alert_url", False): Delivery(tried_at=LATER, attempts=2)}
    assert alert.reached("alert_url")
    assert not alert.reached("alert_url_mail")
    over = message()
    assert over.over
    with ledger.transaction() as books:
        books.alerts.note(over, "alert_url", at=LATER, problem="")
        (alert,) = books.alerts.recent(ACCOUNT, 1)
    assert alert.reached("alert_url", over=True)
