"""Contacts at the GraphQL door."""

from resolvers.contacts.changing import ContactMutations
from resolvers.contacts.reading import ContactQueries
from resolvers.contacts.showing import NODES, contact_of

__all__ = ["NODES", "ContactMutations", "ContactQueries", "contact_of"]
