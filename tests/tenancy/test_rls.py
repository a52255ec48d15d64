from sqlalchemy import func, select

from core.access.tenant import Tenant
from core.ids import new_id
from models.contacts import Contact
from runtime import Runtime
from tests import factories


async def test_a_read_scope_sees_only_its_own_tenant(runtime: Runtime) -> None:
    """Two organizations with contacts: each read scope counts its own, on any connection."""
    mine, others = await factories.organization(runtime), await factories.organization(runtime)
    await factories.contacts(runtime, mine, 3)
    await factories.contacts(runtime, others, 5)
    for _ in range(3):
        for actor, expected in ((mine, 3), (others, 5)):
            rows = await runtime.reads(actor.tenant).rows(select(func.count()).select_from(Contact))
            assert rows[0][0] == expected


async def test_a_session_without_a_tenant_sees_nothing(runtime: Runtime) -> None:
    """After a tenant's read on the same connection, a statement without a tenant sees no row."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2)
    assert len(await runtime.reads(actor.tenant).rows(select(Contact.id))) == 2
    assert await runtime.system.rows(select(Contact.id)) == []
    assert await runtime.reads(Tenant(organization_id=new_id())).rows(select(Contact.id)) == []
