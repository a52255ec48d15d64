"""The local servers: the public names of this package for the command line and for the tests."""

from local.postgres import PostgresServer, start_postgres
from local.roles import create_database, create_roles
from local.valkey import ValkeyServer, start_valkey

__all__ = [
    "PostgresServer",
    "ValkeyServer",
    "create_database",
    "create_roles",
    "start_postgres",
    "start_valkey",
]
