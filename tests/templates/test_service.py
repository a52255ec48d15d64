"""The rules of templates below the API."""

import asyncio
from typing import cast

import pytest

from core.errors import ErrorCode, InputErrors
from runtime import Runtime
from services import templates
from services.templates import TemplateChanges
from tests import factories


async def test_two_concurrent_changes_are_both_applied(runtime: Runtime) -> None:
    """The second one changes the result of the first, and reverts no part of it."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        template = await templates.create(uow, {"name": "News", "subject": "old", "text_content": "old"})
    first_has_it = asyncio.Event()

    async def first() -> None:
        async with runtime.work.begin(owner) as uow:
            await templates.update(uow, template.id, {"subject": "new"})
            first_has_it.set()
            await asyncio.sleep(0.1)  # while the second one waits

    async def second() -> None:
        await first_has_it.wait()
        async with runtime.work.begin(owner) as uow:
            await templates.update(uow, template.id, {"name": "Fresh news", "text_content": "new"})

    await asyncio.gather(first(), second())
    row = await templates.TEMPLATES.get(runtime.reads(owner.tenant), template.id)
    assert row is not None
    assert (row.name, row.subject, row.text_content) == ("Fresh news", "new", "new")


async def test_many_concurrent_changes_are_all_applied(runtime: Runtime) -> None:
    """Each field has the change that was given for it, in any order."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        template = await templates.create(uow, {"name": "News", "html_content": "<p>old</p>"})
    changes: list[TemplateChanges] = [
        {"name": "new"},
        {"subject": "new"},
        {"html_content": "new"},
        {"text_content": "new"},
    ]

    async def change(values: TemplateChanges) -> None:
        async with runtime.work.begin(owner) as uow:
            await templates.update(uow, template.id, values)

    await asyncio.gather(*map(change, changes))
    row = await templates.TEMPLATES.get(runtime.reads(owner.tenant), template.id)
    assert row is not None
    assert {row.name, row.subject, row.html_content, row.text_content} == {"new"}


@pytest.mark.parametrize("field", ["html_content", "text_content"])
@pytest.mark.parametrize("character", ["x", "ä", "€", "😀"])
async def test_a_text_has_at_most_512_kib(runtime: Runtime, field: str, character: str) -> None:
    """Its bytes count, not its characters."""
    owner = await factories.organization(runtime)
    how_many, rest = divmod(512 * 1024, len(character.encode()))
    most = character * how_many + "x" * rest
    async with runtime.work.begin(owner) as uow:
        template = await templates.create(uow, cast("TemplateChanges", {"name": "Long", field: most}))
    row = await templates.TEMPLATES.get(runtime.reads(owner.tenant), template.id)
    assert getattr(row, field) == most
    async with runtime.work.begin(owner) as uow:
        with pytest.raises(InputErrors) as excinfo:
            await templates.create(uow, cast("TemplateChanges", {"name": "Longer", field: most + "x"}))
    [error] = excinfo.value.errors
    path = {"html_content": "htmlContent", "text_content": "textContent"}[field]
    assert (error.error_code, error.field) == (ErrorCode.TOO_LONG, ("input", path))
