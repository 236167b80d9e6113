"""Backtest a strategy over stored candles, by a form; a sweep is spread over the workers.

The report lies in $TRADING_HOME/backtests/, on the machine of the last task.
"""

from contextlib import closing

from airflow.sdk import DAG, Param, get_current_context, task

from dag_defaults import DEFAULTS, LIVE
from pools import MAPPED

LIST, MAYBE = {"type": "array", "items": {"type": "string"}}, {"type": ["null", "string"]}
PART = 25  # combinations that one task tries

with DAG(
    "backtest",
    schedule=None,
    default_args=DEFAULTS | MAPPED | {"retries": 0},
    doc_md=__doc__,
    tags=["trading", "research"],
    **LIVE | {"allowed_run_types": ["manual"]},
    params={
        "strategy": Param("sma_crossover", type="string", description="One of `trading strategies list`."),
        "parameters": Param({}, type="object", description='Fixed ones, such as {"fast": 10}.'),
        "sweep": Param({}, type="object", description='Values to try, such as {"fast": [5, 10], "slow": [30, 60]}.'),
        "instruments": Param([], **LIST, description="Empty: the strategy's own, or all that are stored."),
        "timeframe": Param("1m", **MAYBE, description="Empty: the strategy's own."),
        "since": Param(None, **MAYBE, description="The first close that is decided, UTC; empty: all."),
        "until": Param(None, **MAYBE, description="Up to here, UTC; empty: all."),
        "fee_bps": Param(10, type="number", description="In 1/100 %."),
        "slippage_bps": Param(2, type="number", description="In 1/100 %."),
    },
):

    def ask(answer, *values):
        """One step of the question that the form holds."""
        from trading import backtesting
        from trading.manager import TradingManager

        with closing(TradingManager.from_env()) as manager:
            question = backtesting.Question.from_form(get_current_context()["params"])
            return getattr(backtesting, answer)(manager, question, *values)

    @task
    def combine() -> list[list[dict]]:
        """The combinations, a part a task."""
        return ask("split", PART)

    @task
    def try_part(part: list[dict]) -> list[dict]:
        """What they came to."""
        return ask("try_part", part)

    @task
    def report(parts: list[list[dict]]) -> dict:
        """The best of all, as a page."""
        return ask("write_page", [one for part in parts for one in part], get_current_context()["dag_run"].run_id)

    report(try_part.expand(part=combine()))
