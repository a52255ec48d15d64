"""Senders: the addresses that an organisation sends from, each confirmed by its own mailbox."""
