"""Contacts: the people an organisation writes to."""
