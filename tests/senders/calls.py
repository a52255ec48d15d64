"""The operations on senders, as clients write them."""

from typing import Any

from tests.client import ApiClient

ERRORS = "userErrors { code field message suggestion }"
SENDER = "id email name confirmedAt isDefault createdAt confirmationProblem"
CREATE = (
    f"mutation ($input: CreateSenderInput!) {{ createSender(input: $input) {{ sender {{ {SENDER} }} {ERRORS} }} }}"
)
CHOOSE = (
    "mutation ($input: UpdateCampaignInput!) { updateCampaign(input: $input) {"
    f" campaign {{ id sender {{ id }} }} {ERRORS} }} }}"
)
CONFIRM = (
    f"mutation ($input: ConfirmSenderInput!) {{ confirmSender(input: $input) {{ sender {{ {SENDER} }} {ERRORS} }} }}"
)
DELETE = (
    "mutation ($input: DeleteSenderInput!) { deleteSender(input: $input) {"
    f" deletedSenderId sender {{ {SENDER} }} {ERRORS} }} }}"
)
LIST = f"{{ senders(first: 100) {{ totalCount nodes {{ {SENDER} }} }} }}"


async def create(api: ApiClient, email: str, name: str = "Acme", **more: object) -> dict[str, Any]:
    """The sender of a `createSender` without errors."""
    payload = (await api.execute(CREATE, {"input": {"email": email, "name": name, **more}}))["createSender"]
    assert payload["userErrors"] == []
    sender: dict[str, Any] = payload["sender"]
    return sender


async def refusal(api: ApiClient, document: str, **values: object) -> tuple[str, Any]:
    """Code and field of the single error of a mutation."""
    payload = next(iter((await api.execute(document, {"input": values})).values()))
    (error,) = payload["userErrors"]
    assert error["suggestion"]
    return error["code"], error["field"]


async def list_senders(api: ApiClient) -> dict[str, dict[str, Any]]:
    """The senders by address."""
    nodes = (await api.execute(LIST))["senders"]["nodes"]
    return {node["email"]: node for node in nodes}
