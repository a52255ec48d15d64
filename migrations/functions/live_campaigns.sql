-- The campaigns of all organizations that the sweeper looks after: being prepared, sent or cancelled, scheduled and
-- due, or paused with messages that are being submitted or whose fate is unknown.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.live_campaigns()
RETURNS TABLE (organization_id uuid, campaign_id uuid, status text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT c.organization_id, c.id, c.status FROM campaigns c
    WHERE c.status IN ('preparing', 'sending', 'cancelling')
    OR (c.status = 'scheduled' AND c.scheduled_at <= now())
    OR (c.status = 'paused' AND EXISTS (
        SELECT FROM campaign_stats s WHERE s.campaign_id = c.id
        AND s.organization_id = c.organization_id AND (s.in_flight > 0 OR s.unknown > 0)
    ))
    ORDER BY c.id
$body$;

REVOKE ALL ON FUNCTION system.live_campaigns FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.live_campaigns TO nudge_app;

RESET ROLE;
