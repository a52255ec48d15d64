"""The GraphQL roots of contacts."""

from resolvers.contacts.changing import ContactMutations
from resolvers.contacts.mapping import NODES, contact_of
from resolvers.contacts.reading import ContactQueries

__all__ = ["NODES", "ContactMutations", "ContactQueries", "contact_of"]
