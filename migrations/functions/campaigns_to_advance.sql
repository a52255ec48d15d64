-- A page of campaigns of all organizations that need work now, after a campaign's id, with the work:
--   prepare    its audience is not complete yet
--   advance    it is due or cancelled, a lease has expired, or nothing is open, by the counters or the deliveries
--   reconcile  messages in doubt are due for a lookup at the provider
-- Deliveries in flight or unknown come first among the open ones. With the counters as limits, the pending ones after
-- them, of which there may be millions, are not read.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.campaigns_to_advance(after uuid, max_rows integer)
RETURNS TABLE (organization_id uuid, campaign_id uuid, prepare boolean, advance boolean, reconcile boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT c.organization_id, c.id, needs.prepare, needs.advance, needs.reconcile
    FROM campaigns c
    LEFT JOIN campaign_stats s ON s.organization_id = c.organization_id AND s.campaign_id = c.id
    CROSS JOIN LATERAL (
        SELECT
            c.status = 'preparing' AS prepare,
            CASE c.status
                WHEN 'scheduled' THEN c.scheduled_at <= now()
                WHEN 'cancelling' THEN true
                WHEN 'sending' THEN s.pending = 0 AND ((s.in_flight = 0 AND s.unknown = 0) OR NOT EXISTS (
                    SELECT FROM email_deliveries d
                    WHERE d.organization_id = c.organization_id AND d.campaign_id = c.id AND d.is_open
                ))
                ELSE false
            END OR (c.status IN ('sending', 'paused') AND s.in_flight > 0 AND EXISTS (
                SELECT FROM (
                    SELECT d.lease_until FROM email_deliveries d
                    WHERE d.organization_id = c.organization_id AND d.campaign_id = c.id AND d.is_open
                    AND d.status IN ('claimed', 'submitting')
                    ORDER BY d.id LIMIT s.in_flight
                ) AS leased
                WHERE leased.lease_until < clock_timestamp()
            )) AS advance,
            c.status IN ('sending', 'paused', 'cancelling') AND s.unknown > 0 AND EXISTS (
                SELECT FROM (
                    SELECT d.batch_id, d.next_lookup_at FROM email_deliveries d
                    WHERE d.organization_id = c.organization_id AND d.campaign_id = c.id AND d.is_open
                    AND d.status = 'unknown'
                    ORDER BY d.id LIMIT s.unknown
                ) AS unknown
                WHERE unknown.batch_id IS NOT NULL AND unknown.next_lookup_at <= clock_timestamp()
            ) AS reconcile
        OFFSET 0
    ) AS needs
    WHERE c.status IN ('scheduled', 'preparing', 'sending', 'paused', 'cancelling') AND c.id > after
    AND (needs.prepare OR needs.advance OR needs.reconcile)
    ORDER BY c.id LIMIT max_rows
$body$;

REVOKE ALL ON FUNCTION system.campaigns_to_advance FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.campaigns_to_advance TO nudge_app;

RESET ROLE;
