-- The organizations that have webhook events to apply now. A page of them, beyond an organization's id.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.organizations_with_events(after uuid, most integer)
RETURNS TABLE (organization_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT DISTINCT w.organization_id FROM webhook_inbox w
    WHERE w.applied_at IS NULL AND w.organization_id > after AND w.due_at <= now()
    ORDER BY w.organization_id LIMIT most
$body$;

REVOKE ALL ON FUNCTION system.organizations_with_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.organizations_with_events TO nudge_app;

RESET ROLE;
