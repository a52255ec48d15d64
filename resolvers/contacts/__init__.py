"""Contacts at the GraphQL door."""

from resolvers.contacts.changing import ContactMutations
from resolvers.contacts.reading import ContactQueries
from resolvers.contacts.showing import contact_of

__all__ = ["ContactMutations", "ContactQueries", "contact_of"]
