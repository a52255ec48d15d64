"""Senders: the addresses that an organization sends from, each confirmed by its own mailbox."""
