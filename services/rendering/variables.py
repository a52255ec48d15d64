"""The variables of templates: those of the contact, and those of the campaign."""

from collections.abc import Mapping, Sequence
from typing import Final

KNOWN: Final = (
    "contact.firstName",
    "contact.lastName",
    "contact.email",
    "contact.tags",
    "contact.customFields",
    "organization.name",
    "campaign.name",
    "unsubscribeUrl",
)
CUSTOM_FIELDS: Final = "contact.customFields."
_MAX_DEPTH: Final = 20

# Control characters except tab and line ends, lone surrogates, and the two overrides of the text direction.
_UNSAFE: Final = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0), 0x202D, 0x202E, *range(0xD800, 0xE000)]
)


def contact_variables(
    *,
    first_name: str | None,
    last_name: str | None,
    email: str,
    custom_fields: Mapping[str, object] | None = None,
    tags: Sequence[str] = (),
) -> dict[str, object]:
    """The variables of one contact, without control characters and text direction overrides."""
    return {
        "firstName": first_name and _clean_text(first_name),
        "lastName": last_name and _clean_text(last_name),
        "email": _clean_text(email),
        "customFields": _clean(custom_fields, _MAX_DEPTH) if custom_fields else {},
        "tags": [_clean_text(tag) for tag in tags],
    }


def campaign_variables(*, organization_name: str, campaign_name: str, unsubscribe_url: str) -> dict[str, object]:
    """The other variables of a message; only the URL differs between recipients."""
    return {
        "organization": {"name": _clean_text(organization_name)},
        "campaign": {"name": _clean_text(campaign_name)},
        "unsubscribeUrl": unsubscribe_url,
    }


def is_known(path: str) -> bool:
    """Whether a path is a variable, a part of one, or contains one."""
    return any(path == name or path.startswith(f"{name}.") or name.startswith(f"{path}.") for name in KNOWN)


def _clean_text(text: str) -> str:
    return text if text.isprintable() else text.translate(_UNSAFE)


def _clean(value: object, depth: int) -> object:
    if isinstance(value, str):
        return _clean_text(value)
    if not isinstance(value, (dict, list)) or not depth:
        return None if isinstance(value, (dict, list)) else value
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    return {key: _clean(item, depth - 1) for key, item in value.items()}
