import pytest

from core import email_addresses


@pytest.mark.parametrize(
    ("text", "email", "norm"),
    [
        ("  Ada@Example.com ", "Ada@example.com", "ada@example.com"),
        ("x" * 64 + "@y.example", "x" * 64 + "@y.example", "x" * 64 + "@y.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_parsed_for_sending_and_for_comparison(text: str, email: str, norm: str) -> None:
    """Blanks are removed, the domain becomes ASCII, and comparison ignores case."""
    assert email_addresses.parse(text) == email_addresses.Address(email, norm)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ada@",
        "ada@localhost",
        "ädä@example.com",
        "x" * 65 + "@y.example",
        "a@" + "b." * 130 + "example",
        "a\0b@c.de",
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    """Not ASCII, over-long (RFC 5321: 64 before the @, 254 in all), without a domain, with control characters."""
    with pytest.raises(email_addresses.InvalidEmail) as excinfo:
        email_addresses.parse(text, field=("input", "contacts", "3", "email"))
    assert excinfo.value.field == ("input", "contacts", "3", "email")
    assert excinfo.value.message.startswith("Not a valid e-mail address")
