"""The rules of templates below the API."""

import asyncio

from runtime import Runtime
from services import templates
from services.templates import Changes
from tests import factories


async def test_two_changes_at_once_both_count(runtime: Runtime) -> None:
    """Whoever comes second changes what the first one left, and takes nothing of it back."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        made = await templates.create(uow, {"name": "News", "subject": "old", "text_content": "old"})
    first_has_it = asyncio.Event()

    async def first() -> None:
        async with runtime.work.begin(owner) as uow:
            await templates.update(uow, made.id, {"subject": "new"})
            first_has_it.set()
            await asyncio.sleep(0.1)  # while the second one waits

    async def second() -> None:
        await first_has_it.wait()
        async with runtime.work.begin(owner) as uow:
            await templates.update(uow, made.id, {"name": "Fresh news", "text_content": "new"})

    await asyncio.gather(first(), second())
    found = await templates.TEMPLATES.get(runtime.reads(owner.tenant), made.id)
    assert found is not None
    assert (found.name, found.subject, found.text_content) == ("Fresh news", "new", "new")


async def test_many_changes_at_once_all_count(runtime: Runtime) -> None:
    """Each field keeps the change that named it, whatever the order."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        made = await templates.create(uow, {"name": "News", "html_content": "<p>old</p>"})
    changes: list[Changes] = [{"name": "new"}, {"subject": "new"}, {"html_content": "new"}, {"text_content": "new"}]

    async def change(values: Changes) -> None:
        async with runtime.work.begin(owner) as uow:
            await templates.update(uow, made.id, values)

    await asyncio.gather(*map(change, changes))
    found = await templates.TEMPLATES.get(runtime.reads(owner.tenant), made.id)
    assert found is not None
    assert {found.name, found.subject, found.html_content, found.text_content} == {"new"}
