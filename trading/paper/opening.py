"""Opening the venue: which data it plays, from when, and with which book."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trading.clock import Clock
from trading.domain.market import to_ms
from trading.domain.matching import FeeModel, MatchingRules, SlippageModel, VolumeShareModel
from trading.domain.venue_filters import VenueRules, venue_rules
from trading.errors import ConfigurationError
from trading.paper import account_endpoints, market_endpoints, order_endpoints
from trading.paper.accounts import Account
from trading.paper.book import Book
from trading.paper.candle_files import CandleFile, read_folder
from trading.paper.limits import RateLimits
from trading.paper.replay import WEEK_MS, Market, replay_shift_weeks
from trading.paper.venue import Endpoint, Replay, Venue

_LOG: Final = logging.getLogger(__name__)

#: The candles and filters that come with the project.
SAMPLE: Final = Path(__file__).parent / "sample"

#: Everything that the venue answers.
ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    **market_endpoints.ENDPOINTS,
    **order_endpoints.ENDPOINTS,
    **account_endpoints.ENDPOINTS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperSettings:
    """Everything that a paper exchange needs to know. `shift_weeks` None: chosen at the first start, then kept."""

    state: Path
    accounts: tuple[Account, ...]
    data: Path = SAMPLE
    shift_weeks: int | None = None
    fees: FeeModel = field(default_factory=FeeModel)
    slippage: SlippageModel = field(default_factory=SlippageModel)
    volume_share: VolumeShareModel = field(default_factory=VolumeShareModel)
    limits: RateLimits = field(default_factory=RateLimits)


def open_venue(
    settings: PaperSettings, clock: Clock, endpoints: Mapping[tuple[str, str], Endpoint] = ENDPOINTS
) -> Venue:
    """The venue, with its resting orders matched through what happened while it was away.

    A book whose replay has ended is put aside under another name, and a fresh one begins with the next incarnation.
    """
    files = read_folder(settings.data)
    info = _exchange_info(settings.data)
    now_ms = to_ms(clock.now())
    book = Book(settings.state)
    replay = _remembered(book, files, settings)
    if replay is not None and now_ms >= replay.end_ms and settings.shift_weeks is None:
        book = _put_aside(book, replay)
        replay = _begin(book, files, settings, now_ms, replay.incarnation + 1)
    if replay is None:
        replay = _begin(book, files, settings, now_ms, 1)
    with book.transaction():
        for account in settings.accounts:
            book.open_account(account.name, dict(account.balances), now_ms)
    venue = Venue(
        clock=clock,
        book=book,
        markets=_markets(files, info, settings, replay.shift_ms),
        exchange_info=info,
        accounts=settings.accounts,
        replay=replay,
        endpoints=endpoints,
        limits=settings.limits,
    )
    venue.settle()
    return venue


def _exchange_info(folder: Path) -> Mapping[str, Any]:
    path = folder / "exchange_info.json"
    try:
        info: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{path}: expected the JSON of Binance's exchangeInfo with the instruments of this folder's candle files"
        ) from None
    return info


def _markets(
    files: Sequence[CandleFile], info: Mapping[str, Any], settings: PaperSettings, shift_ms: int
) -> dict[str, Market]:
    rules = {entry["symbol"]: venue_rules(entry) for entry in info["symbols"]}
    markets = {}
    for file in files:
        symbol = file.base + file.quote
        if symbol not in rules:
            raise ConfigurationError(
                f"{file.path}: expected {symbol} in exchange_info.json of its folder; add it there"
            )
        markets[symbol] = Market(file, rules[symbol], _matching_rules(rules[symbol], settings), shift_ms)
    return markets


def _matching_rules(rules: VenueRules, settings: PaperSettings) -> MatchingRules:
    return MatchingRules(
        base=rules.base,
        quote=rules.quote,
        tick_size=rules.tick_size,
        lot_step=rules.lot_step,
        fees=settings.fees,
        slippage=settings.slippage,
        volume_share=settings.volume_share,
    )


def _span(files: Sequence[CandleFile]) -> tuple[int, int]:
    """From when to when every instrument has candles, in the files' own time."""
    first_ms, end_ms = max(file.open_ms[0] for file in files), min(file.end_ms for file in files)
    if first_ms >= end_ms:
        raise ConfigurationError(f"{files[0].path.parent}: expected candle files that overlap in time, they do not")
    return first_ms, end_ms


def _remembered(book: Book, files: Sequence[CandleFile], settings: PaperSettings) -> Replay | None:
    shift, incarnation = book.meta("shift_ms"), book.meta("incarnation")
    if shift is None or incarnation is None:
        return None
    first_ms, end_ms = _span(files)
    if book.meta("sample") != f"{first_ms}-{end_ms}":
        raise ConfigurationError(
            f"{book.path} belongs to other candles than {settings.data}: give another --state, or delete that one"
        )
    if settings.shift_weeks is not None and settings.shift_weeks * WEEK_MS != int(shift):
        raise ConfigurationError(
            f"{book.path} was begun with a shift of {int(shift) // WEEK_MS} weeks, not {settings.shift_weeks}: "
            "give that, or another --state"
        )
    return _replay(files, int(shift), int(incarnation))


def _begin(book: Book, files: Sequence[CandleFile], settings: PaperSettings, now_ms: int, incarnation: int) -> Replay:
    first_ms, end_ms = _span(files)
    weeks = settings.shift_weeks
    if weeks is None:
        weeks = replay_shift_weeks(first_ms, end_ms, now_ms)
    with book.transaction():
        book.set_meta("shift_ms", str(weeks * WEEK_MS))
        book.set_meta("incarnation", str(incarnation))
        book.set_meta("sample", f"{first_ms}-{end_ms}")
        book.start_ids(incarnation)
    _LOG.info("replay_started", extra={"event": "replay_started", "shift_weeks": weeks, "incarnation": incarnation})
    return _replay(files, weeks * WEEK_MS, incarnation)


def _replay(files: Sequence[CandleFile], shift_ms: int, incarnation: int) -> Replay:
    first_ms, end_ms = _span(files)
    return Replay(shift_ms=shift_ms, incarnation=incarnation, first_ms=first_ms + shift_ms, end_ms=end_ms + shift_ms)


def _put_aside(book: Book, replay: Replay) -> Book:
    book.close()
    aside = book.path.with_name(f"{book.path.stem}.incarnation-{replay.incarnation}{book.path.suffix}")
    book.path.replace(aside)
    for leftover in ("-wal", "-shm"):
        book.path.with_name(book.path.name + leftover).unlink(missing_ok=True)
    _LOG.warning(
        "replay_ended", extra={"event": "replay_ended", "incarnation": replay.incarnation, "kept_as": aside.name}
    )
    return Book(book.path)
