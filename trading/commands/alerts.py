"""`trading alerts`: what was told to whom, a test of each channel, and the process that tells."""

from typing import Annotated, Final

import typer

from trading.alerting import Alerting, channel_names
from trading.clock import random_id
from trading.commands.invocation import examples, open_manager, open_run
from trading.commands.listing import AsJson, Column, Limit, show
from trading.domain.alert_messages import Message, command
from trading.domain.alerts import MEANINGS, Alert, AlertKind, Severity
from trading.errors import ConfigurationError
from trading.logging.json_logger import setup_json_logging
from trading.logging.log_context import LogContext

app = typer.Typer()
alerts = typer.Typer(no_args_is_help=True)
app.add_typer(alerts, name="alerts", help="Alerts: what was told to whom, a test of each channel, and the watcher.")

_PATIENCE_S: Final = 15.0


@alerts.command(name="list", epilog=examples("trading alerts list", "trading alerts list --json"))
def list_alerts(*, limit: Limit = 20, as_json: AsJson = False) -> None:
    """The newest alerts: whom each reached, and why it did not reach the others."""
    with open_manager() as manager, manager.ledger.transaction() as books:
        found = books.alerts.recent(manager.config.account, limit)
        names = channel_names(manager.secrets)
    columns: list[Column[Alert]] = [
        Column("at", lambda alert: alert.at),
        Column("kind", lambda alert: alert.kind),
        Column("severity", lambda alert: MEANINGS[alert.kind].severity, rank=4),
        Column("ended_at", lambda alert: alert.ended_at, rank=3),
        Column("delivered", lambda alert: _told(alert, names)),
        Column("sentence", lambda alert: alert.sentence, rank=1),
        Column("run_id", lambda alert: alert.run_id, rank=5),
        Column("look", command, rank=2),
    ]
    show(found, columns, as_json=as_json, none="no alert yet")


@alerts.command(name="test", epilog=examples("trading alerts test", "trading alerts test --channel alert_url_mail"))
def send_test(
    *,
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one, by the name of its secret; otherwise all.")
    ] = None,
) -> None:
    """Send a message to each channel now, and say which took it; an address is never shown."""
    with open_run(verbose=False) as (manager, run):
        channels = [one for one in Alerting(manager).channels() if channel in (None, one.name)]
        desk = f"{manager.config.mode} {manager.config.account}"
        if not channels:
            known = ", ".join(channel_names(manager.secrets)) or "none"
            raise ConfigurationError(
                f"no channel to test ({channel or 'all'} was asked for, there is {known}): expected a secret alert_url"
                " or alert_url_NAME with an Apprise URL (docs/OPERATIONS.md#alerts)"
            )
        message = Message(
            kind=AlertKind.HALT_ENGAGED,
            over=False,
            severity=Severity.WARNING,
            title=f"[{desk}] test: alerts arrive here",
            body=f"Nothing happened: {run.actor} tests this channel.\nrun: {run.run_id}",
            alerts=(),
        )
        attempts = [(one, one.send(message)) for one in channels]
        problems = [(one, attempt.wait(_PATIENCE_S)) for one, attempt in attempts]
    failed = 0
    for one, problem in problems:
        said = "no answer" if problem is None else problem
        failed += bool(said)
        typer.echo(f"{'✗' if said else '✓'} {one.name} ({one.service}){': ' + said if said else ''}")
    if failed:
        typer.echo(f"{failed} of {len(channels)} channels took nothing", err=True)
        raise typer.Exit(1)


@alerts.command(epilog=examples("trading alerts watch"))
def watch() -> None:
    """Watch the ledger and tell people, until Ctrl-C. `make run` starts it; elsewhere run one beside Airflow."""
    with open_manager() as manager:
        setup_json_logging(manager.config.log_path, manager.config.log_level, service="alerts")
        began = manager.clock.now().strftime("%Y%m%dT%H%M%SZ")
        with LogContext(correlation_id=f"alerts__{began}__{random_id()[:8]}"):
            Alerting(manager).run()


def _told(alert: Alert, channels: list[str]) -> str:
    """By channel: delivered, the problem, or not yet."""
    said = []
    for name in dict.fromkeys((*channels, *(channel for channel, over in alert.deliveries if not over))):
        delivery = alert.deliveries.get((name, False))
        said.append(f"{name}: {'not yet' if delivery is None else delivery.problem or 'yes'}")
    return "; ".join(said) or "no channel"
