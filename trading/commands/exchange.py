"""`trading exchange serve`: the paper exchange, as a server of its own."""

from pathlib import Path
from typing import Annotated

import typer

from trading.clock import SystemClock, random_id
from trading.config.settings import TradingConfig
from trading.errors import ConfigurationError
from trading.logging.json_logger import setup_json_logging
from trading.logging.log_context import bind
from trading.logging.redaction import register_secret
from trading.paper.accounts import FIRST_BALANCES, Account, read_accounts
from trading.paper.opening import SAMPLE, PaperSettings
from trading.paper.server import serve as serve_exchange

app = typer.Typer(help="The paper exchange: a venue on this machine that replays real candles.", no_args_is_help=True)


@app.callback()
def exchange() -> None:
    """The paper exchange: a venue on this machine that replays real candles."""


@app.command()
def serve(
    *,
    state: Annotated[Path, typer.Option(help="Its book, an SQLite file of its own; made where there is none.")],
    accounts: Annotated[
        Path | None,
        typer.Option(
            help="JSON: name, api_key, api_secret and first balances of each account; one account with the secrets"
            " paper_api_key and paper_api_secret if left out."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8900,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    data: Annotated[Path, typer.Option(help="A folder of candle files and exchange_info.json.")] = SAMPLE,
    shift_weeks: Annotated[int | None, typer.Option(help="Weeks to move the candles by; chosen if left out.")] = None,
    no_shift: Annotated[bool, typer.Option("--no-shift", help="Play the candles at their own time.")] = False,
    faults: Annotated[Path | None, typer.Option(help="A fault plan in TOML: what goes wrong on purpose.")] = None,
    fault_control: Annotated[
        bool, typer.Option("--fault-control", help="Let this machine change the plan at /paper/v1/faults.")
    ] = False,
    log: Annotated[Path | None, typer.Option(help="A file for JSON log lines.")] = None,
) -> None:
    """Serve Binance's spot API until Ctrl-C or SIGTERM."""
    if no_shift and shift_weeks is not None:
        raise ConfigurationError("expected --shift-weeks or --no-shift, got both: leave one out")
    if log is not None:
        setup_json_logging(log, service="exchange")
        bind(correlation_id=f"exchange__{random_id()}")
    settings = PaperSettings(
        state=state,
        accounts=_account_of_secrets() if accounts is None else read_accounts(accounts),
        data=data,
        shift_weeks=0 if no_shift else shift_weeks,
    )
    injector = None
    if faults is not None or fault_control:
        from trading.paper.fault_plan import FaultPlan, read_plan  # noqa: PLC0415 - nothing of it without faults
        from trading.paper.faults import FaultInjector  # noqa: PLC0415 - likewise

        injector = FaultInjector(plan=FaultPlan() if faults is None else read_plan(faults), control=fault_control)
    serve_exchange(
        settings,
        SystemClock(),
        host,
        port,
        announce=lambda address: typer.echo(f"paper exchange: {address}", err=True),
        faults=injector,
    )


def _account_of_secrets() -> tuple[Account, ...]:
    """The one account of a paper exchange that has its keys from where the pipeline has them."""
    config = TradingConfig.from_env()
    keys = config.secrets(on_read=register_secret).get_exchange_credentials(config.venue, "paper")
    return (
        Account(
            name="default",
            api_key=keys.api_key.reveal(),
            api_secret=keys.api_secret.reveal(),
            balances=FIRST_BALANCES,
        ),
    )
