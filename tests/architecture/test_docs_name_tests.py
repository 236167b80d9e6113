"""A page that says which test shows something names one that exists, where it says it does."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DEFINED = {
    path.relative_to(ROOT).as_posix(): {
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    }
    for path in (ROOT / "tests").rglob("test_*.py")
}
_NAMED = re.compile(r"(?P<path>tests/[\w./-]*\w)(?:::(?P<within>\w+))?|(?<![\w./-])(?P<test>test_\w+)")


def unknown(page: str) -> set[str]:
    """What a page's text calls a test, and is none: a path, a function of a file, or a function of any file."""
    wrong = set()
    for found in _NAMED.finditer(page):
        path, within, test = found.group("path", "within", "test")
        if path is not None:
            exists = (ROOT / path).exists() and (within is None or within in DEFINED.get(path, ()))
        else:
            exists = any(test in names for names in DEFINED.values())
        if not exists:
            wrong.add(found[0])
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    """A test that was renamed or dropped takes its promise along."""
    missing = unknown(page.read_text())
    assert not missing, f"{page.relative_to(ROOT)} names {sorted(missing)}: expected tests that exist"


@pytest.mark.parametrize(
    "text",
    [
        "`test_that_nobody_wrote`",
        "(test_that_nobody_wrote, tests/unit)",
        "tests/unit/test_nowhere.py",
        "`tests/nowhere`",
        "tests/architecture/test_docs_name_tests.py::test_that_nobody_wrote",
        "tests/architecture/test_tidy.py::test_every_test_that_a_page_names_exists",
    ],
)
def test_a_name_that_is_no_tests_is_found(text: str) -> None:
    """The rule can fail, in each way of naming a test."""
    assert len(unknown(text)) == 1


def test_a_name_that_is_one_passes() -> None:
    here = "tests/architecture/test_docs_name_tests.py"
    name = "test_a_name_that_is_one_passes"
    assert unknown(f"`{name}` ({here}), {here}::{name}, `tests/crash`. See tests/crash/.") == set()
