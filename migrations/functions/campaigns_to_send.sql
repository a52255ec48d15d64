-- A page of campaigns of all organizations that have messages to send now, after a campaign's id.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.campaigns_to_send(after uuid, max_rows integer)
RETURNS TABLE (organization_id uuid, campaign_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT c.organization_id, c.id FROM campaigns c
    JOIN campaign_stats s ON s.organization_id = c.organization_id AND s.campaign_id = c.id
    WHERE c.status = 'sending' AND s.pending > 0 AND c.id > after
    ORDER BY c.id LIMIT max_rows
$body$;

REVOKE ALL ON FUNCTION system.campaigns_to_send FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.campaigns_to_send TO nudge_app;

RESET ROLE;
