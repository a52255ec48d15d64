-- A page of organizations that have webhook events to apply now, after an organization's id.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.organizations_with_events(after uuid, max_rows integer)
RETURNS TABLE (organization_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT DISTINCT w.organization_id FROM webhook_inbox w
    WHERE w.applied_at IS NULL AND w.organization_id > after AND w.due_at <= now()
    ORDER BY w.organization_id LIMIT max_rows
$body$;

REVOKE ALL ON FUNCTION system.organizations_with_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.organizations_with_events TO nudge_app;

RESET ROLE;
