"""Commands from another terminal, over the embedded PostgreSQL of an instance: found, used, and missed when it ends."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading import cli
from trading.clock import SystemClock
from trading.local.embedded_postgres import EmbeddedPostgres
from trading.local.home import Home
from trading.local.instance_environment import environ_of_instance
from trading.logging.json_logger import setup_json_logging

pytestmark = pytest.mark.postgres


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose embedded server runs, with no setting that names its database."""
    for name in os.environ:
        if name.startswith("TRADING_"):
            monkeypatch.delenv(name)
    with tempfile.TemporaryDirectory(prefix="trading-cli-") as folder:
        path = Path(folder)
        monkeypatch.setenv("TRADING_HOME", str(path))
        monkeypatch.setenv("TRADING_SECRETS_DIR", str(path / "secrets"))
        instance = Home(path)
        instance.prepare()
        instance.acquire()
        instance.release()
        server = EmbeddedPostgres(home=path, clock=SystemClock())
        server.start()
        yield path
        server.stop()
        setup_json_logging(None)


def test_the_running_server_is_found_and_its_end_noticed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same address as the instance itself uses; commands write and read there; afterwards one clear sentence."""
    server = EmbeddedPostgres(home=home, clock=SystemClock())
    assert environ_of_instance(os.environ)["TRADING_DATABASE_URL"] == server.start()

    assert cli.main(["orders"]) == 78
    assert "run `trading db migrate`" in capsys.readouterr().err
    assert cli.main(["db", "migrate"]) == 0
    capsys.readouterr()

    assert cli.main(["killswitch", "engage", "--reason", "drill", "--yes", "--json"]) == 0
    engaged = json.loads(capsys.readouterr().out)
    assert cli.main(["killswitch", "status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [(halt["halt_id"], halt["reason"]) for halt in status["halts"]] == [(engaged["halt_id"], "drill")]
    assert cli.main(["why", engaged["run_id"]]) == 0
    assert "halt done" in capsys.readouterr().out
    assert cli.main(["config", "show", "--json"]) == 0
    sources = {row["setting"]: row["source"] for row in json.loads(capsys.readouterr().out)}
    assert sources["database_url"] == "the running instance"

    server.stop()
    assert cli.main(["orders"]) == 78
    said = capsys.readouterr().err
    assert said.startswith(f"error: the database in {home} does not run: start the instance with `make run`")
