"""Senders: the addresses that an organization sends from, each confirmed by a link sent to it."""
