-- A page of organizations that have system mail to send or to look up now, after an organization's id.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.organizations_with_mail(after uuid, max_rows integer)
RETURNS TABLE (organization_id uuid, send boolean, reconcile boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT o.organization_id, bool_or(o.status = 'pending'), bool_or(o.status <> 'pending') FROM outbox o
    WHERE o.status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text])
    AND CASE WHEN o.status = 'submitting' THEN o.lease_until ELSE o.due_at END <= now()
    AND o.organization_id > after
    GROUP BY o.organization_id ORDER BY o.organization_id LIMIT max_rows
$body$;

REVOKE ALL ON FUNCTION system.organizations_with_mail FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.organizations_with_mail TO nudge_app;

RESET ROLE;
