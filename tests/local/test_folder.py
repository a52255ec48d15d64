"""Ports for servers that start later."""

from local.folder import free_ports, is_free


def test_free_ports_are_given_to_nobody_else() -> None:
    """All different, free, and none of those that a listener on any port, or a connection, could get."""
    found = free_ports(50)
    assert len(set(found)) == 50
    assert all(port < 32_768 and is_free(port) for port in found)
