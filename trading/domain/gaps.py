"""Gaps: candles that should be there by the timeframe's grid and are not, as facts with a kind.

Where a venue makes no candle for a quiet period, nothing happened: the price stands still. Anything else that is
missing is an outage, of which nobody knows what happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel, timeframe_s

#: A quiet stretch that is longer, and longer than one candle, is taken for an outage. Of the 13,947 stretches without
#: a candle in two years of Bitfinex's BTC/USD 1m, which makes none when nothing trades, 7 are longer.
LONGEST_QUIET_MS: Final = 3_600_000


class GapKind(StrEnum):
    """What a missing candle means."""

    NO_TRADES = "no_trades"
    OUTAGE = "outage"


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleGap:
    """No candle from `from_ms`, the first missing open, to `to_ms`, the first open after the gap."""

    from_ms: int
    to_ms: int
    kind: GapKind


def missing_opens(stored_ms: NDArray[np.int64], window_ms: tuple[int, int], step_ms: int) -> NDArray[np.int64]:
    """Opens on the grid within [start, end) that are not stored, ascending."""
    first_ms = -(-window_ms[0] // step_ms) * step_ms
    return np.setdiff1d(np.arange(first_ms, window_ms[1], step_ms, dtype=np.int64), stored_ms)


def gaps_after(
    before: Sequence[CandleGap],
    *,
    window_ms: tuple[int, int],
    outages_ms: NDArray[np.int64],
    quiet_ms: NDArray[np.int64],
    timeframe: str,
) -> list[CandleGap]:
    """The gaps once [start, end) was looked at again and lacks these opens; `before` overlap or touch it.

    What lies side by side is one gap. It is an outage where any part of it is one, or where it is too long to be quiet.
    """
    step_ms = timeframe_s(timeframe) * 1000
    parts = [part for gap in before for part in _outside(gap, window_ms)]
    parts += _stretches(outages_ms, step_ms, GapKind.OUTAGE) + _stretches(quiet_ms, step_ms, GapKind.NO_TRADES)
    joined: list[CandleGap] = []
    for part in sorted(parts, key=lambda gap: gap.from_ms):
        if joined and part.from_ms <= joined[-1].to_ms:
            kind = part.kind if part.kind is joined[-1].kind else GapKind.OUTAGE
            joined[-1] = CandleGap(from_ms=joined[-1].from_ms, to_ms=max(part.to_ms, joined[-1].to_ms), kind=kind)
        else:
            joined.append(part)
    longest_ms = max(LONGEST_QUIET_MS, step_ms)
    return [replace(gap, kind=GapKind.OUTAGE) if gap.to_ms - gap.from_ms > longest_ms else gap for gap in joined]


def with_quiet_periods(
    panel: Panel, gaps: Mapping[str, Sequence[CandleGap]], closes_before: Mapping[str, float]
) -> Panel:
    """The panel in which periods that are known to be without trades are flat at the close before, with volume 0.

    `closes_before` has the last close before the panel where it begins in such a period. An outage stays NaN, and so
    does a quiet period that no close is known before.
    """
    columns = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for column, symbol in enumerate(panel.instruments):
        for gap in gaps.get(symbol, ()):
            rows = np.arange(*np.searchsorted(panel.open_ms, (gap.from_ms, gap.to_ms)))
            if gap.kind is not GapKind.NO_TRADES or not len(rows):
                continue
            first = int(rows[0])
            close = columns["close"][first - 1, column] if first else closes_before.get(symbol, np.nan)
            rows = rows[np.isnan(panel.close[rows, column])]
            for name in ("open", "high", "low", "close"):
                columns[name][rows, column] = close
            columns["volume"][rows, column] = np.nan if np.isnan(close) else 0.0
    return Panel(panel.instruments, panel.timeframe, panel.open_ms, **columns)


def _outside(gap: CandleGap, window_ms: tuple[int, int]) -> list[CandleGap]:
    """What of a gap lies before and after the window."""
    before = replace(gap, to_ms=min(gap.to_ms, window_ms[0]))
    after = replace(gap, from_ms=max(gap.from_ms, window_ms[1]))
    return [part for part in (before, after) if part.from_ms < part.to_ms]


def _stretches(opens_ms: NDArray[np.int64], step_ms: int, kind: GapKind) -> list[CandleGap]:
    """Ascending opens as stretches of consecutive ones."""
    if not len(opens_ms):
        return []
    breaks = np.flatnonzero(np.diff(opens_ms) > step_ms)
    first = opens_ms[np.concatenate([[0], breaks + 1])]
    last = opens_ms[np.concatenate([breaks, [len(opens_ms) - 1]])]
    return [
        CandleGap(from_ms=start, to_ms=end + step_ms, kind=kind)
        for start, end in zip(first.tolist(), last.tolist(), strict=True)
    ]
