"""The SQL of the stores, read from sql/queries/*.sql: each query is named, described and a literal."""

import re
from pathlib import Path
from typing import Final, LiteralString

FOLDER: Final = Path(__file__).parent / "sql" / "queries"

#: `-- name --` on a line of its own starts a query; the comment after it says what it is for.
_NAME: Final = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


def load_queries(folder: Path) -> dict[str, LiteralString]:
    """Every query by name. Raises ValueError for a name that is given twice, and for a query without a description."""
    queries: dict[str, LiteralString] = {}
    for path in sorted(folder.glob("*.sql")):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in queries:
                raise ValueError(f"{path.name}: the query {name} is named twice")
            if not text.lstrip("\n").startswith("-- "):
                raise ValueError(f"{path.name}: expected a description after the name of {name}")
            lines = (line for line in text.strip().splitlines() if not line.lstrip().startswith("--"))
            queries[name] = "\n".join(lines)
    return queries


QUERIES: Final = load_queries(FOLDER)
