"""Verify: stored candles against what can be derived again: coarser from finer ones, gaps from what is not there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.domain.gaps import missing_opens
from trading.domain.market import CandleSeries, from_ms, timeframe_s, to_ms
from trading.domain.resampling import differing, resampled
from trading.ports.candles import CandleStanding
from trading.ports.ledger import Ledger

#: Candles of the finer timeframe that are read at once.
_CHUNK: Final = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One instrument's candles against `derived_from`: a finer timeframe, or the gaps that are noted."""

    instrument: str
    timeframe: str
    derived_from: str
    compared: int
    differing: int
    first_difference: datetime | None


class VerifyCandles:
    """Look, and change nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def run(self, instruments: Sequence[str] = ()) -> list[Comparison]:
        """Each stored series against its gaps, and against each finer one of the same instrument."""
        with self._ledger.transaction() as books:
            standings = books.candles.standings()
        chosen = [one for one in standings if not instruments or one.instrument in instruments]
        found = []
        for one in chosen:
            found.append(self._against_gaps(one))
            finer = [
                other
                for other in chosen
                if other.instrument == one.instrument and _divides(other.timeframe, one.timeframe)
            ]
            found += [self._against(one, other) for other in finer]
        return found

    def _against_gaps(self, one: CandleStanding) -> Comparison:
        """Opens that are missing without a gap, or stored within one."""
        step_ms = timeframe_s(one.timeframe) * 1000
        compared, wrong = 0, np.array([], dtype=np.int64)
        for window_ms, series in self._windows(one, _CHUNK * step_ms):
            grid = np.arange(*window_ms, step_ms, dtype=np.int64)
            covered = np.zeros(len(grid), dtype=bool)
            with self._ledger.transaction() as books:
                gaps = books.candles.gaps(one.instrument, one.timeframe, since_ms=window_ms[0], until_ms=window_ms[1])
            for gap in gaps:
                covered |= (grid >= gap.from_ms) & (grid < gap.to_ms)
            missing = np.isin(grid, missing_opens(series.open_ms, window_ms, step_ms))
            compared += len(grid)
            wrong = np.concatenate([wrong, grid[missing != covered]])
        return _comparison(one, "gaps", compared, wrong)

    def _against(self, coarse: CandleStanding, fine: CandleStanding) -> Comparison:
        """What the finer candles make, wherever all of one coarser candle are there."""
        coarse_ms = timeframe_s(coarse.timeframe) * 1000
        span_ms = max(coarse_ms, _CHUNK * timeframe_s(fine.timeframe) * 1000 // coarse_ms * coarse_ms)
        compared, wrong = 0, np.array([], dtype=np.int64)
        for window_ms, series in self._windows(coarse, span_ms):
            with self._ledger.transaction() as books:
                finer = books.candles.series(
                    fine.instrument, fine.timeframe, since_ms=window_ms[0], until_ms=window_ms[1]
                )
            both, differs = differing(series, resampled(finer, fine.timeframe, coarse.timeframe))
            compared += both
            wrong = np.concatenate([wrong, differs])
        return _comparison(coarse, fine.timeframe, compared, wrong)

    def _windows(self, one: CandleStanding, span_ms: int) -> Iterator[tuple[tuple[int, int], CandleSeries]]:
        step_ms = timeframe_s(one.timeframe) * 1000
        first_ms, end_ms = to_ms(one.first_open), to_ms(one.last_open) + step_ms
        for start_ms in range(first_ms, end_ms, span_ms):
            window_ms = (start_ms, min(start_ms + span_ms, end_ms))
            with self._ledger.transaction() as books:
                series = books.candles.series(
                    one.instrument, one.timeframe, since_ms=window_ms[0], until_ms=window_ms[1]
                )
            yield window_ms, series


def _divides(finer: str, coarser: str) -> bool:
    fine_s, coarse_s = timeframe_s(finer), timeframe_s(coarser)
    return fine_s < coarse_s and coarse_s % fine_s == 0


def _comparison(one: CandleStanding, derived_from: str, compared: int, wrong: NDArray[np.int64]) -> Comparison:
    return Comparison(
        instrument=one.instrument,
        timeframe=one.timeframe,
        derived_from=derived_from,
        compared=compared,
        differing=len(wrong),
        first_difference=from_ms(int(wrong[0])) if len(wrong) else None,
    )
