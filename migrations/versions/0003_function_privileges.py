"""Nobody but the app's role executes our functions: revision 0002 once revoked and granted too late to have an effect.

Revision: 0003, after 0002.
"""

from alembic import op

from migrations import rls

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP FUNCTION system.organization_of_campaign(uuid)")  # nothing calls it
    # A new function is closed from the start. In a database as a whole: for one schema alone this would change nothing.
    op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    op.execute(
        f"""
        DO $body$ DECLARE each record; BEGIN
            FOR each IN
                SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
                    p.proowner::regrole AS owner, p.prosecdef AS for_the_app, p.prorettype = 'trigger'::regtype AS is_trigger
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'system'
            LOOP
                EXECUTE format('SET LOCAL ROLE %s', each.owner);
                EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', each.name);
                IF each.for_the_app THEN
                    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {rls.APP}', each.name);
                ELSIF each.is_trigger THEN  -- whoever changes the table needs no right on it
                    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM {rls.APP}', each.name);
                END IF;
                RESET ROLE;
            END LOOP;
        END $body$
        """
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
    rls.define(
        "organization_of_campaign(campaign_id uuid)",
        "TABLE (organization_id uuid)",
        "SELECT c.organization_id FROM campaigns c WHERE c.id = $1",
    )
