"""What happens to the stack: trading over two workers, roles, kills, a rotation, upkeep, a backup that comes back."""

import json
import secrets
import urllib.error
from datetime import UTC, datetime
from urllib.parse import quote

from tests.compose.stack import CommandFailedError, Stack, run, say
from tests.e2e import two_books

ALLOWED, FORBIDDEN = 200, 403
#: A minute's candle, and what a busy machine adds.
CANDLE_S = 180.0


def sweep_speedup(stack: Stack) -> float:
    """How many times faster two workers are than one, where each is given a quarter of a core."""
    alone = _sweep(stack)
    stack.up("--scale", "worker=2", "--no-recreate")
    together = _sweep(stack)
    say(f"sweep: {alone:.1f} s with one worker, {together:.1f} s with two")
    return alone / together


def _sweep(stack: Stack) -> float:
    """Seconds from the first task's start to the last one's end, once every process of the workers is warm."""
    for container in stack.containers("worker"):
        run(["docker", "update", "--cpus", "0.25", container])
    rest = stack.rest()
    stack.until(lambda: "sweep" in _dag_ids(stack), 180, "the sweep's DAG is known")
    for _ in range(2):  # the first warms up
        run_id = rest.trigger("sweep")
        stack.until(lambda: rest.state("sweep", run_id) == "success", 300, "the sweep ends")  # noqa: B023
    for container in stack.containers("worker"):
        run(["docker", "update", "--cpus", "2", container])
    tasks = rest.call("GET", f"/dags/sweep/dagRuns/{quote(run_id)}/taskInstances?limit=100")["task_instances"]
    began, ended = (
        [datetime.fromisoformat(task[name].replace("Z", "+00:00")) for task in tasks]
        for name in ("start_date", "end_date")
    )
    return (max(ended) - min(began)).total_seconds()


def _dag_ids(stack: Stack) -> set[str]:
    return {dag["dag_id"] for dag in stack.rest().call("GET", "/dags?limit=100")["dags"]}


def pipeline(stack: Stack) -> dict[str, bool]:
    """Orders, fills, both books alike, and each task on the queue where it belongs."""
    stack.until(lambda: two_books.fill_count(stack.book()) > 0, CANDLE_S, "the first order was filled")
    agree = books_agree(stack)
    queues = {
        queue: {host for _, _, host in rows}
        for queue in ("orders", "default")
        if (rows := [r for r in _tasks(stack) if r[1] == queue])
    }
    orders = {container[:12] for container in stack.containers("orders")}
    workers = {container[:12] for container in stack.containers("worker")}
    return {
        "orders were filled and both books agree": agree,
        "what talks to the venue runs where its keys are": queues.get("orders", set()) == orders,
        "strategies run without keys": bool(queues.get("default")) and queues["default"] <= workers,
        "both workers worked": {host for dag, _, host in _tasks(stack) if dag == "sweep"} == workers,
        "each order was posted once": len(set(posts := two_books.posts(stack.book()))) == len(posts) > 0,
    }


def _tasks(stack: Stack) -> list[list[str]]:
    return stack.sql("SELECT DISTINCT dag_id, queue, hostname FROM task_instance WHERE state = 'success'")


def books_agree(stack: Stack) -> bool:
    """Between a fill and its reconciliation they differ for some seconds."""
    found: list[str] = []

    def agree() -> bool:
        found[:] = two_books.differences(stack.book(), stack.database_url())
        return not found

    try:
        stack.until(agree, CANDLE_S, "both books agree", poll_s=2)
    except AssertionError:
        say(f"the books differ: {found}")
        return False
    return True


def roles(stack: Stack) -> dict[str, bool]:
    """viewer looks, trader starts research, risk alone stops; and a halt ends by a signed override alone."""
    password = secrets.token_urlsafe(16)
    for role in ("viewer", "trader", "risk"):
        words = ["airflow", "users", "create", "--username", role, "--role", role, "--email", f"{role}@localhost"]
        words += ["--firstname", role, "--lastname", role]
        stack.compose("exec", "-T", "api-server", *words, given=f"{password}\n{password}\n")

    def may(user: str, method: str, path: str, body: dict[str, object] | None = None) -> int:
        try:
            stack.rest(user, password).call(method, path, body)
        except urllib.error.HTTPError as error:
            return error.code
        return ALLOWED

    pause, start = {"is_paused": True}, {"logical_date": None}
    seen = {
        "viewer looks": may("viewer", "GET", "/dags/kill_switch") == ALLOWED,
        "viewer changes nothing": may("viewer", "PATCH", "/dags/kill_switch", pause) == FORBIDDEN
        and may("viewer", "POST", "/dags/evaluate_strategies/dagRuns", start) == FORBIDDEN,
        "trader starts research": may("trader", "POST", "/dags/evaluate_strategies/dagRuns", start) == ALLOWED,
        "trader neither stops nor places": may("trader", "PATCH", "/dags/kill_switch", pause) == FORBIDDEN
        and may("trader", "POST", "/dags/place_orders/dagRuns", start) == FORBIDDEN,
        "risk stops": may("risk", "PATCH", "/dags/kill_switch", pause) == ALLOWED,
    }
    halted = json.loads(stack.cli("killswitch", "status", "--json"))
    unpaused = may("risk", "PATCH", "/dags/kill_switch", {"is_paused": False}) == ALLOWED
    still = json.loads(stack.cli("killswitch", "status", "--json"))
    return {
        **seen,
        "the pause halted": len(halted["halts"]) == 1,
        "unpausing releases nothing": unpaused and len(still["halts"]) == 1,
        "a signed override releases": _release(stack),
    }


def _release(stack: Stack) -> bool:
    """Sign for each halt that stands, and resume once a reconciliation was clean; whether none is left."""

    def released() -> bool:
        for halt in json.loads(stack.cli("killswitch", "status", "--json"))["halts"]:
            token = stack.cli("killswitch", "sign", "--halt", str(halt["halt_id"]), "--reason", "rehearsal")
            stack.cli("killswitch", "resume", given=token)
        return not json.loads(stack.cli("killswitch", "status", "--json"))["halts"]

    try:
        stack.until(released, CANDLE_S, "the halt is released", poll_s=5)
    except AssertionError:
        return False
    return True


def kills(stack: Stack) -> dict[str, bool]:
    """The orders' worker and the database die without a word; each comes back, and trading goes on by what is there."""
    found = {}
    for service in ("orders", "postgres"):
        say(f"killing {service}")
        stack.compose("kill", "--signal", "KILL", service)
        stack.up("--no-deps", "--no-recreate", service)
        found[f"trading goes on after the death of {service}"] = _goes_on(stack)
        found[f"both books agree after the death of {service}"] = books_agree(stack)
    return found


def _goes_on(stack: Stack) -> bool:
    """A reconciliation that began from now on was clean, and a decision was made."""
    since = datetime.now(UTC).isoformat()
    done = "SELECT DISTINCT flow FROM trading.run WHERE outcome = 'done' AND started_at > "
    try:
        stack.until(
            lambda: {("reconcile",), ("evaluate",)} <= {tuple(row) for row in stack.sql(f"{done}'{since}'")},
            CANDLE_S,
            "flows run again",
            poll_s=2,
        )
    except AssertionError:
        return False
    return True


def rotation(stack: Stack) -> dict[str, bool]:
    """Another key for the venue: the worker that signs takes it without being started again."""
    before = stack.containers("orders")
    started = stack.inspect(before[0])["State"]["StartedAt"]
    stack.compose("stop", "paper-exchange")
    for name in ("paper_api_key", "paper_api_secret"):  # in place: a file that is mounted alone keeps its inode
        (stack.secrets / name).write_text(f"{secrets.token_hex(32)}\n")
    stack.up("--no-deps", "--no-recreate", "paper-exchange")
    return {
        "the new key signs": _goes_on(stack) and books_agree(stack),
        "its worker was not started again": stack.containers("orders") == before
        and stack.inspect(before[0])["State"]["StartedAt"] == started,
    }


def upkeep(stack: Stack) -> dict[str, bool]:
    """The nightly DAG does its work, which no task may do in its own process."""
    rest = stack.rest()
    run_id = rest.trigger("maintenance")
    ended = ("success", "failed")
    stack.until(lambda: rest.state("maintenance", run_id) in ended, 240, "the upkeep ends")
    return {"maintenance prunes Airflow's tables": rest.state("maintenance", run_id) == "success"}


def backup(stack: Stack) -> dict[str, bool]:
    """An archive comes back into another database, which sends nothing before somebody signs. The last scene of all."""
    stack.cli("db", "backup", "--keep", "3")
    listed = stack.compose(
        "run", "--rm", "--no-deps", "-T", "--entrypoint", "ls", "cli", "/var/lib/trading/backups"
    ).split()
    for service in ("scheduler", "worker", "orders"):
        stack.compose("stop", "--timeout", "60", service)
    stack.sql("CREATE DATABASE restored TEMPLATE template0", "postgres")
    url = "TRADING_DATABASE_URL=postgresql://trading_owner@postgres:5432/restored"
    path = f"/var/lib/trading/backups/{listed[0]}"
    said = stack.cli("db", "restore", path, "--why", "rehearsal", environ=(url,))
    status = json.loads(stack.cli("killswitch", "status", "--json", environ=(url,)))
    incarnation = "SELECT incarnation FROM trading.account"
    orders = ("SELECT count(*) FROM trading.order_intent", "SELECT count(*) FROM trading.fill")
    return {
        "one archive": len(listed) == 1,
        "everything came back": all(stack.sql(query) == stack.sql(query, "restored") for query in orders),
        "a new incarnation, halted": "begins; halt" in said
        and len(status["halts"]) == 1
        and stack.sql(incarnation) != stack.sql(incarnation, "restored"),
        "it is not loaded over a filled database": _refused(stack, path),
    }


def _refused(stack: Stack, path: str) -> bool:
    try:
        stack.cli("db", "restore", path, "--why", "rehearsal")
    except CommandFailedError as error:
        return "expected an empty one" in str(error)
    return False
