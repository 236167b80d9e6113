"""`make compose-test`: docker-compose.yml in real containers; figures and checks in $TRADING_HOME/compose.json."""

import json
import sys
import time
from collections.abc import Callable

from tests.compose import canaries, scenes, separation
from tests.compose.stack import IMAGE, NoEngineError, Stack, run, say
from trading.config.settings import TradingConfig

MOST_SECONDS_TO_HEALTHY = 180
MOST_IMAGE_MB = 900
LEAST_SPEEDUP = 1.7

SCENES: tuple[tuple[str, Callable[[Stack], dict[str, bool]]], ...] = (
    ("pipeline", scenes.pipeline),
    ("roles", scenes.roles),
    ("kills", scenes.kills),
    ("rotation", scenes.rotation),
    ("upkeep", scenes.upkeep),
)


def main() -> int:
    """Everything once; non-zero where a figure misses its bar or a check fails.

    The speed of two workers is shown and does not decide: whoever else uses the machine takes part in it.
    """
    try:
        stack = Stack()
    except NoEngineError as missing:
        sys.stderr.write(f"compose-test is skipped: {missing}\n")
        return 0
    began = time.monotonic()
    try:
        stack.down()
        report = _report(stack)
    except BaseException:
        sys.stderr.write(stack.tail())
        raise
    finally:
        stack.remove()
    report["seconds"] = round(time.monotonic() - began)
    report["ok"] = _show(report)
    path = TradingConfig.from_env().home / "compose.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    say(f"written to {path}")
    return 0 if report["ok"] else 1


def _report(stack: Stack) -> dict[str, object]:
    clock = time.monotonic
    began = clock()
    stack.make_secrets()
    stack.build()
    built = clock()
    report: dict[str, object] = {"build_s": round(built - began)}
    report["image_mb"] = round(int(run(["docker", "image", "inspect", "--format", "{{.Size}}", IMAGE])) / 1e6)
    say("starting all of it")
    report["healthy_s"] = round(stack.up())
    say(f"healthy after {report['healthy_s']} s")
    report["speedup"] = round(scenes.sweep_speedup(stack), 2)
    checks: dict[str, dict[str, bool]] = {}
    say("looking from inside each container")
    checks |= separation.check_all(stack)
    for name, scene in SCENES:
        say(name)
        checks[name] = scene(stack)
    say("searching for secrets")
    report["canary_hits"] = canaries.hits(stack)
    report["canary_blind_spots"] = canaries.blind_spots(stack)
    say("backup")
    checks["backup"] = scenes.backup(stack)
    report["checks"] = checks
    return report


def _show(report: dict[str, object]) -> bool:
    """One line a figure and a failed check; whether all is well."""
    checks: dict[str, dict[str, bool]] = report["checks"]  # type: ignore[assignment]
    failed = [f"{place}: {what}" for place, found in checks.items() for what, holds in found.items() if not holds]
    figures = (
        ("healthy after", f"{report['healthy_s']} s", report["healthy_s"] <= MOST_SECONDS_TO_HEALTHY),  # type: ignore[operator]
        ("image", f"{report['image_mb']} MB", report["image_mb"] <= MOST_IMAGE_MB),  # type: ignore[operator]
        ("secrets found where none may be", str(len(report["canary_hits"])), not report["canary_hits"]),  # type: ignore[arg-type]
        ("planted secrets not found", str(len(report["canary_blind_spots"])), not report["canary_blind_spots"]),  # type: ignore[arg-type]
        ("checks", f"{sum(map(len, checks.values()))}, {len(failed)} failed", not failed),
        ("all of it", f"{report['seconds']} s, of which the build {report['build_s']} s", True),
    )
    fast = report["speedup"] >= LEAST_SPEEDUP  # type: ignore[operator]
    shown = (*figures, ("two workers instead of one", f"{report['speedup']} times as fast", fast))
    for name, value, ok in shown:
        sys.stdout.write(f"{'✓' if ok else '✗'} {name}: {value}\n")
    for line in (*failed, *report["canary_hits"], *report["canary_blind_spots"]):  # type: ignore[misc]
        sys.stdout.write(f"  ✗ {line}\n")
    return all(ok for _, _, ok in figures)


if __name__ == "__main__":
    raise SystemExit(main())
