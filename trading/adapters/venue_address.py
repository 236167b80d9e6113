"""What stands behind an address: the venue's sandbox, a paper exchange, or something that no test may touch."""

from typing import Final

from trading.adapters.ccxt_errors import Reply
from trading.adapters.venue_capabilities import capabilities
from trading.domain.conformance import Target
from trading.errors import ConfigurationError

_STATUS: Final = "/paper/v1/status"


def target_at(venue: str, base_url: str, *, timeout_s: float) -> Target:
    """Sandbox or paper exchange. Raises ConfigurationError for every other address, the production one first of all.

    A paper exchange is known by its own endpoint, not by its name, so that it may run in another container.
    """
    from trading.adapters.venue_session import origin  # noqa: PLC0415 - imports requests

    can = capabilities(venue)
    if origin(base_url) == origin(can.sandbox_url):
        return Target.SANDBOX
    if origin(base_url)[1] != origin(can.base_url)[1] and _is_paper_exchange(base_url.rstrip("/"), timeout_s):
        return Target.PAPER
    raise ConfigurationError(
        f"{venue} is not tested at {base_url}, nothing was sent: expected its sandbox {can.sandbox_url} (TRADING_MODE="
        "sandbox) or a paper exchange that answers (TRADING_MODE=replay; `make run` starts one)"
    )


def _is_paper_exchange(base_url: str, timeout_s: float) -> bool:
    """Whether what answers there says so of itself. An unsigned read."""
    import requests  # noqa: PLC0415 - heavy

    from trading.adapters.venue_session import VenueSession  # noqa: PLC0415 - imports requests

    session = VenueSession(base_url)
    try:
        session.get(base_url + _STATUS, timeout=timeout_s)
    except requests.RequestException:
        return False
    finally:
        session.close()
    reply = session.reply or Reply()
    payload = reply.payload() if reply.succeeded else None
    return isinstance(payload, dict) and {"mode", "incarnation", "ends_at_ms"} <= payload.keys()
