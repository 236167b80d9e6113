"""Which id works on which call at which venue, as one literal table: what ccxt puts on the wire, not what it promises.

`tests/contract/test_venue_calls_on_the_wire.py` drives the unmodified ccxt class of each venue and compares every cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Call(StrEnum):
    """A call that names one order; its values are ccxt's unified methods."""

    CREATE = "create_order"
    FETCH = "fetch_order"
    CANCEL = "cancel_order"


class Listing(StrEnum):
    """A call that lists; its values are ccxt's unified methods."""

    OPEN_ORDERS = "fetch_open_orders"
    ALL_ORDERS = "fetch_orders"
    MY_TRADES = "fetch_my_trades"


@dataclass(frozen=True, slots=True)
class IdOnCall:
    """How the wire carries our id (the unified `clientOrderId`) and the venue's own; {} stands for the id.

    `name={}` is a parameter of query or body, a text that begins with / ends the path; empty: it is not on the wire.
    `works` says whether the venue finds, or names, the order by ours there.
    """

    ours: str
    theirs: str = ""
    works: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueOrderCalls:
    """One venue: how an order is named there, and how its orders are listed.

    `shown_as` is the field of its answers that holds our id; `deadline` the parameter or header after which it refuses
    a request, empty where ccxt sends none; `lists` are the ways to list that ccxt has.
    """

    calls: Mapping[Call, IdOnCall]
    shown_as: str
    deadline: str = ""
    lists: frozenset[Listing] = frozenset(Listing)

    def shortcomings(self) -> list[str]:
        """Why no order may go there, a clause each: empty where ids and deadline work."""
        lost = [call.value for call, row in self.calls.items() if not row.works]
        said = [f"our order id does not work on {', '.join(lost)}"] if lost else []
        return said if self.deadline else [*said, "no request there carries a deadline"]


_WITHOUT_ALL_ORDERS: Final = frozenset(Listing) - {Listing.ALL_ORDERS}


def _row(create: IdOnCall, fetch: IdOnCall, cancel: IdOnCall) -> Mapping[Call, IdOnCall]:
    return MappingProxyType({Call.CREATE: create, Call.FETCH: fetch, Call.CANCEL: cancel})


#: Spot, ccxt 4.5.90. In the order: create, fetch, cancel.
ORDER_CALLS: Final[Mapping[str, VenueOrderCalls]] = MappingProxyType(
    {
        "binance": VenueOrderCalls(
            calls=_row(
                IdOnCall("newClientOrderId={}"),
                IdOnCall("origClientOrderId={}", "orderId={}"),
                IdOnCall("origClientOrderId={}", "orderId={}"),
            ),
            shown_as="clientOrderId",
            deadline="recvWindow",
        ),
        "mexc": VenueOrderCalls(
            calls=_row(
                IdOnCall("newClientOrderId={}"),
                IdOnCall("origClientOrderId={}", "orderId={}"),
                IdOnCall("origClientOrderId={}", "orderId={}"),
            ),
            shown_as="clientOrderId",
            deadline="recvWindow",
        ),
        "okx": VenueOrderCalls(
            calls=_row(IdOnCall("clOrdId={}"), IdOnCall("clOrdId={}", "ordId={}"), IdOnCall("clOrdId={}", "ordId={}")),
            shown_as="clOrdId",
            lists=_WITHOUT_ALL_ORDERS,
        ),
        "kucoin": VenueOrderCalls(
            calls=_row(
                IdOnCall("clientOid={}"),
                IdOnCall("/order/client-order/{}", "/orders/{}"),
                IdOnCall("/order/client-order/{}", "/orders/{}"),
            ),
            shown_as="clientOid",
            lists=_WITHOUT_ALL_ORDERS,
        ),
        "bitget": VenueOrderCalls(
            calls=_row(
                IdOnCall("clientOid={}"), IdOnCall("clientOid={}", "orderId={}"), IdOnCall("clientOid={}", "orderId={}")
            ),
            shown_as="clientOid",
            lists=_WITHOUT_ALL_ORDERS,
        ),
        "coinbaseexchange": VenueOrderCalls(
            calls=_row(
                IdOnCall("client_oid={}"),
                IdOnCall("/orders/client:{}", "/orders/{}"),
                IdOnCall("/orders/client:{}", "/orders/{}"),
            ),
            shown_as="client_oid",
        ),
        "coinbase": VenueOrderCalls(
            calls=_row(
                IdOnCall("", works=False),  # an id of ccxt's own making goes out in place of ours
                IdOnCall("clientOrderId={}", "/historical/{}", works=False),
                IdOnCall("clientOrderId={}", "order_ids={}", works=False),
            ),
            shown_as="client_order_id",
        ),
        "cryptocom": VenueOrderCalls(
            calls=_row(
                IdOnCall("", works=False),
                IdOnCall("clientOrderId={}", "order_id={}", works=False),
                IdOnCall("clientOrderId={}", "order_id={}", works=False),
            ),
            shown_as="client_oid",
        ),
        "kraken": VenueOrderCalls(
            calls=_row(
                IdOnCall("cl_ord_id={}"),
                IdOnCall("userref={}", "txid={}", works=False),  # another id than the one that create sends
                IdOnCall("cl_ord_id={}", "txid={}"),
            ),
            shown_as="cl_ord_id",
            lists=_WITHOUT_ALL_ORDERS,
        ),
        "bybit": VenueOrderCalls(
            calls=_row(
                IdOnCall("orderLinkId={}"),
                IdOnCall("", works=False),  # ccxt refuses, by either id
                IdOnCall("clientOrderId={}", "orderId={}", works=False),  # not the name that create sends
            ),
            shown_as="orderLinkId",
            deadline="X-BAPI-RECV-WINDOW",
            lists=_WITHOUT_ALL_ORDERS,
        ),
        "gate": VenueOrderCalls(
            calls=_row(
                IdOnCall("", works=False),  # 28 characters at most
                IdOnCall("/orders/t-{}", "/orders/{}"),
                IdOnCall("clientOrderId={}", "/orders/{}", works=False),  # /orders/None
            ),
            shown_as="text",
            lists=_WITHOUT_ALL_ORDERS,
        ),
    }
)
