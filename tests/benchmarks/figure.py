"""One measured figure beside what it is measured against."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """`ours` and `baseline` in `unit`; it is met where ours / baseline ≤ `bar`, over `runs` measurements."""

    name: str
    ours: float
    baseline_name: str
    baseline: float
    unit: str
    bar: float
    runs: int

    @property
    def ratio(self) -> float:
        """Ours over the baseline."""
        return self.ours / self.baseline

    @property
    def ok(self) -> bool:
        """Whether the bar is met."""
        return self.ratio <= self.bar

    def as_dict(self) -> dict[str, object]:
        """The line of bench.jsonl."""
        return {
            "name": self.name,
            "ours": self.ours,
            "baseline": {"name": self.baseline_name, "value": self.baseline},
            "unit": self.unit,
            "ratio": round(self.ratio, 4),
            "bar": self.bar,
            "ok": self.ok,
            "runs": self.runs,
        }
