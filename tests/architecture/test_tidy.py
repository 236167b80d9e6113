"""The house's own rules, as far as a machine can check them."""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("trading", "dags", "plugins")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MOST_LINES = {"trading": 300, "dags": 60, "plugins": 80}
MOST_FUNCTION_LINES = 70
MOST_FUNCTION_P95 = 40
#: The right column of the word table, as parts of our own names.
BANNED_WORDS = frozenset({"pair", "coin", "bar", "kline", "stake", "holding", "drift", "job", "utils", "helpers"})
#: What tests measure time with; besides, those of a real Airflow are never beside each other.
STOPWATCH = re.compile(r"time\.monotonic\(|perf_counter\(")
ALONE = ("pytest.mark.alone", "pytest.mark.airflow")
#: What reads the wall clock, waits, or makes up ids: trading/clock.py alone.
CLOCK_CALLS = frozenset({"datetime.now", "datetime.utcnow", "time.time", "time.sleep", "time.monotonic", "uuid.uuid4"})


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _words(identifier: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return set(spaced.lower().split("_"))


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_holds_one_noun(path: Path) -> None:
    """A file that outgrew its limit held two nouns."""
    most = MOST_LINES[path.relative_to(ROOT).parts[0]]
    lines = path.read_text().count("\n")
    assert lines <= most, f"{_name(path)} has {lines} lines, at most {most} are allowed: it holds two nouns"


def test_functions_fit_a_screen() -> None:
    """No function is longer than a screen, and the 95th percentile is far below; the figures are printed."""
    lengths = {
        f"{_name(p)}:{f.lineno} {f.name}": _length(f) for p in FILES for f in _functions(ast.parse(p.read_text()))
    }
    ordered = sorted(lengths.values())
    p95 = ordered[int(len(ordered) * 0.95)]
    modules = [path.read_text().count("\n") for path in FILES]
    sys.stdout.write(
        f"functions: {len(ordered)}, p95 {p95}, longest {ordered[-1]}; modules: median {statistics.median(modules)}\n"
    )
    too_long = {name: length for name, length in lengths.items() if length > MOST_FUNCTION_LINES}
    assert not too_long
    assert p95 <= MOST_FUNCTION_P95


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_names_come_from_the_word_table(path: Path) -> None:
    """No function, class, argument or assigned name uses a banned word; the wire's own words stand in strings."""
    tree = ast.parse(path.read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    banned = {name for name in names | {path.stem} if _words(name) & BANNED_WORDS}
    assert not banned, f"{_name(path)}: {banned} use words that the vocabulary bans"


@pytest.mark.parametrize("path", [p for p in FILES if p != ROOT / "trading" / "clock.py"], ids=_name)
def test_only_the_clock_reads_the_clock(path: Path) -> None:
    """Wall clock, sleep and random ids are handed in."""
    calls = {
        f"{ast.unparse(node.func)}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCK_CALLS
    }
    assert not calls, f"{_name(path)}: {calls} belong in trading/clock.py"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_file_only_hands_on_names(path: Path) -> None:
    """A file whose only content is imports of other names is a detour."""
    body = ast.parse(path.read_text()).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    others = [node for node in body if node not in imports and not isinstance(node, ast.Expr)]
    assert others or not imports, f"{_name(path)} only re-exports"


def test_secrets_is_a_folder_of_files() -> None:
    """A package named secrets at the root would shadow the standard library's."""
    assert not (ROOT / "secrets" / "__init__.py").exists()


def test_what_measures_time_is_alone() -> None:
    """`make test` runs tests on every core at once: one with a stopwatch has nothing beside it that counts."""
    timed = {path: path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    timed = {path: text for path, text in timed.items() if STOPWATCH.search(text)}
    assert timed
    assert [_name(path) for path, text in timed.items() if not any(mark in text for mark in ALONE)] == []
