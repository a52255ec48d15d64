"""Idempotency keys: the first result of a request with a key is replayed for 24 hours (as Stripe does).

A sweep deletes expired keys once a day.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from core.errors import ErrorCode, InvalidInput, NudgeError
from core.unit_of_work import UnitOfWork
from models.idempotency import IdempotencyKey

T = TypeVar("T", bound=Mapping[str, Any])

_LIFETIME: Final = timedelta(hours=24)
_MAX_KEY_LENGTH: Final = 255
_KEY_FIELD: Final = ("input", "idempotencyKey")


class IdempotencyKeyReused(NudgeError):
    """The key was used for another request: another operation, or other arguments."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED


async def once(
    uow: UnitOfWork, key: str | None, operation: str, arguments: Mapping[str, object], act: Callable[[], Awaitable[T]]
) -> T | dict[str, Any]:
    """Run `act` and store its result (JSON) under the key, or return the stored result; without a key, only run.

    Keys belong to the organization. Of two concurrent requests the second waits for the first. An error of `act`
    rolls back the key as well, so that it can be used again. Storing an empty result takes no additional statement.
    Raises `IdempotencyKeyReused`.
    """
    if key is None:
        return await act()
    if not 0 < len(key) <= _MAX_KEY_LENGTH or not key.isprintable():
        raise InvalidInput(f"A key has 1 to {_MAX_KEY_LENGTH} printable characters.", field=_KEY_FIELD)
    fingerprint = hashlib.sha256(
        orjson.dumps([operation, dict(arguments)], default=str, option=orjson.OPT_SORT_KEYS)
    ).digest()
    if not await _claim(uow, key, operation, fingerprint):
        return await _stored(uow, key, fingerprint)
    result = await act()
    if result:
        await uow.execute(update(IdempotencyKey).where(IdempotencyKey.key == key).values(result=dict(result)))
    return result


async def _claim(uow: UnitOfWork, key: str, operation: str, fingerprint: bytes) -> bool:
    """Insert the key, or take over an expired one; waits while another transaction holds it. False if it is used."""
    values = {
        "operation": operation,
        "arguments_hash": fingerprint,
        "result": null(),
        "created_at": func.now(),
        "expires_at": func.now() + _LIFETIME,
    }
    statement = insert(IdempotencyKey).values(organization_id=uow.tenant.organization_id, key=key, **values)
    rows = await uow.rows(
        statement.on_conflict_do_update(
            index_elements=[IdempotencyKey.organization_id, IdempotencyKey.key],
            set_=values,
            where=IdempotencyKey.expires_at <= func.now(),
        ).returning(IdempotencyKey.key)
    )
    return bool(rows)


async def _stored(uow: UnitOfWork, key: str, fingerprint: bytes) -> dict[str, Any]:
    rows = await uow.rows(
        select(IdempotencyKey.arguments_hash, IdempotencyKey.result).where(IdempotencyKey.key == key)
    )
    arguments_hash: bytes = rows[0][0]
    if arguments_hash != fingerprint:
        raise IdempotencyKeyReused(
            "This idempotency key was already used for another request.",
            field=_KEY_FIELD,
            suggestion="Use a new key for each request, and the same key only to repeat that request unchanged.",
        )
    result: dict[str, Any] | None = rows[0][1]
    return result or {}
