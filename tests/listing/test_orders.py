"""The orders of lists: which cursor belongs to which."""

import sys

from core.listing.listing import Listing
from core.listing.orders import Order
from resolvers import build_schema


def test_no_two_orders_share_their_cursors_tag() -> None:
    """A cursor of one list or order is never taken for one of another: the tags are short, and all differ."""
    build_schema()
    modules = [module for name, module in sys.modules.items() if name.startswith("services.")]
    listings = {value for module in modules for value in vars(module).values() if isinstance(value, Listing)}
    orders = {str(order.key): order for listing in listings for order in (listing.order, *listing.orders.values())}
    orders |= {
        str(value.key): value for module in modules for value in vars(module).values() if isinstance(value, Order)
    }
    assert len(orders) > len(listings) > 3
    assert len({order.tag for order in orders.values()}) == len(orders)
