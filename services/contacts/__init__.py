"""Contacts: the people an organization writes to."""
