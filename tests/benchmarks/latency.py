"""From a candle's close to the venue's acknowledgement, through a real Airflow, with the other minute DAGs running.

Runs a whole instance in a folder of its own, with a portfolio that trades at every candle, for BENCH_CANDLES candles
(65), and reads the times from the ledger: the close is the order's as_of, the acknowledgement its accepted event.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.benchmarks.figure import Figure
from tests.free_ports import free_port
from trading.local.home import Home
from trading.local.instance_environment import environ_of_instance

ROOT = Path(__file__).parents[2]
PORTFOLIO = ROOT / "tests" / "benchmarks" / "every_candle.toml"
P50_BAR_S, P95_BAR_S = 3.5, 6.0

ACKNOWLEDGED = """
SELECT i.as_of, extract(epoch FROM min(e.at) - i.as_of)::float8
FROM trading.order_intent AS i
JOIN trading.order_event AS e USING (client_order_id)
WHERE e.state = 'accepted' AND i.generation = 0
GROUP BY i.as_of
ORDER BY i.as_of
"""


def latency() -> Iterator[Figure]:
    """p50 and p95 of the first acknowledged order of each candle, in seconds."""
    candles = int(os.environ.get("BENCH_CANDLES", "65"))
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - as root, PostgreSQL runs as another user
        with running_instance(Path(folder) / "home") as url:
            time.sleep(candles * 60)
            with psycopg.connect(url) as connection:
                rows = connection.execute(ACKNOWLEDGED).fetchall()
    seconds = sorted(float(s) for _, s in rows[1:])  # the first one waited for the start
    sys.stderr.write(f"{len(seconds)} candles with an order, from {rows[0][0]} to {rows[-1][0]}\n")
    p95 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))]
    one = {"baseline_name": "a second", "baseline": 1.0, "unit": "s", "runs": len(seconds)}
    yield Figure(name="latency_p50", ours=statistics.median(seconds), bar=P50_BAR_S, **one)
    yield Figure(name="latency_p95", ours=p95, bar=P95_BAR_S, **one)


@contextmanager
def running_instance(home: Path) -> Iterator[str]:
    """A whole instance until the block ends; gives its database's URL."""
    environ = os.environ | {
        "TRADING_HOME": str(home),
        "TRADING_SECRETS_DIR": str(home / "secrets"),
        "TRADING_PORTFOLIO": str(PORTFOLIO),
        "TRADING_UI_PORT": str(free_port()),
        "TRADING_EXCHANGE_PORT": str(free_port()),
    }
    process = subprocess.Popen([sys.executable, "-m", "trading", "up"], env=environ, stdout=subprocess.DEVNULL)
    try:
        yield _wait_for_database(home, process, environ)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _wait_for_database(home: Path, process: "subprocess.Popen[bytes]", environ: dict[str, str]) -> str:
    """The URL once the instance says that it runs."""
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"the instance ended with {process.returncode}")
        state = Home(home).state()
        if state is not None and state.phase == "running":
            return environ_of_instance(environ)["TRADING_DATABASE_URL"]
        time.sleep(1)
    raise RuntimeError("the instance did not start within 300 s")
