-- The organizations that have system mail to submit or to ask the provider about now, the longest waiting first.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.organizations_with_mail()
RETURNS TABLE (organization_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT o.organization_id FROM outbox o
    WHERE o.status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text])
    AND CASE WHEN o.status = 'submitting' THEN o.lease_until ELSE o.due_at END <= now()
    GROUP BY o.organization_id ORDER BY min(o.due_at) LIMIT 1000
$body$;

REVOKE ALL ON FUNCTION system.organizations_with_mail FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.organizations_with_mail TO nudge_app;

RESET ROLE;
