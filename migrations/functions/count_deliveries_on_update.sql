-- Updates the counters of campaigns (campaign_stats) in the statement that changes deliveries: the new row is added,
-- and the old one subtracted, so that the counters always add up to the audience. A change without an effect on the
-- counters, such as a renewed lease, does not update the campaign's row and its sequence.

CREATE OR REPLACE FUNCTION system.count_deliveries_on_update()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $body$
BEGIN
    UPDATE campaign_stats s SET
        audience = s.audience + c.audience,
        pending = s.pending + c.pending,
        in_flight = s.in_flight + c.in_flight,
        accepted = s.accepted + c.accepted,
        delivered = s.delivered + c.delivered,
        bounced = s.bounced + c.bounced,
        complained = s.complained + c.complained,
        rejected = s.rejected + c.rejected,
        skipped = s.skipped + c.skipped,
        failed = s.failed + c.failed,
        unknown = s.unknown + c.unknown,
        reached = s.reached + c.reached,
        opened = s.opened + c.opened,
        clicked = s.clicked + c.clicked,
        unsubscribed = s.unsubscribed + c.unsubscribed,
        sequence = s.sequence + 1,
        updated_at = clock_timestamp()
    FROM (
        SELECT organization_id, campaign_id,
            coalesce(sum(sign) FILTER (WHERE true), 0) AS audience,
            coalesce(sum(sign) FILTER (WHERE status = 'pending'), 0) AS pending,
            coalesce(sum(sign) FILTER (WHERE status IN ('claimed', 'submitting')), 0) AS in_flight,
            coalesce(sum(sign) FILTER (WHERE status = 'accepted'), 0) AS accepted,
            coalesce(sum(sign) FILTER (WHERE status = 'delivered'), 0) AS delivered,
            coalesce(sum(sign) FILTER (WHERE status = 'bounced'), 0) AS bounced,
            coalesce(sum(sign) FILTER (WHERE status = 'complained'), 0) AS complained,
            coalesce(sum(sign) FILTER (WHERE status = 'rejected'), 0) AS rejected,
            coalesce(sum(sign) FILTER (WHERE status = 'skipped'), 0) AS skipped,
            coalesce(sum(sign) FILTER (WHERE status = 'failed'), 0) AS failed,
            coalesce(sum(sign) FILTER (WHERE status = 'unknown'), 0) AS unknown,
            coalesce(sum(sign) FILTER (WHERE delivered_at IS NOT NULL), 0) AS reached,
            coalesce(sum(sign) FILTER (WHERE opened_at IS NOT NULL), 0) AS opened,
            coalesce(sum(sign) FILTER (WHERE clicked_at IS NOT NULL), 0) AS clicked,
            coalesce(sum(sign) FILTER (WHERE unsubscribed_at IS NOT NULL), 0) AS unsubscribed
        FROM (
            SELECT organization_id, campaign_id,
                status, delivered_at, opened_at, clicked_at, unsubscribed_at, 1 AS sign
            FROM new_rows
            UNION ALL
            SELECT organization_id, campaign_id,
                status, delivered_at, opened_at, clicked_at, unsubscribed_at, -1
            FROM old_rows
        ) AS moves
        GROUP BY organization_id, campaign_id
    ) AS c
    WHERE s.organization_id = c.organization_id AND s.campaign_id = c.campaign_id AND (
        c.audience <> 0 OR c.pending <> 0 OR c.in_flight <> 0 OR c.accepted <> 0 OR c.delivered <> 0
        OR c.bounced <> 0 OR c.complained <> 0 OR c.rejected <> 0 OR c.skipped <> 0 OR c.failed <> 0
        OR c.unknown <> 0 OR c.reached <> 0 OR c.opened <> 0 OR c.clicked <> 0 OR c.unsubscribed <> 0
    );
    RETURN NULL;
END
$body$;

REVOKE ALL ON FUNCTION system.count_deliveries_on_update FROM PUBLIC;

CREATE OR REPLACE TRIGGER count_on_update AFTER UPDATE ON public.email_deliveries
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION system.count_deliveries_on_update();
