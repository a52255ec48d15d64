"""The servers of this machine: the door of this room for the command line and for the tests."""

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
