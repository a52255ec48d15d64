"""Free ports for servers that start later."""

from local.folder import free_ports, is_free


def test_free_ports_are_not_ephemeral() -> None:
    """All are different, free, and below the ports that the system assigns."""
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(port < 32_768 and is_free(port) for port in ports)
