-- Collects the planner's statistics of the partition that has a campaign's deliveries. Runs as the owner of the
-- tables, as ANALYZE requires the owner or the privilege MAINTAIN, which the app does not have.

CREATE OR REPLACE FUNCTION system.analyze_deliveries(campaign_id uuid)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
DECLARE
    part text := 'email_deliveries_' || to_char(uuid_extract_timestamp($1) AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass('public.' || part) IS NOT NULL THEN
        EXECUTE format('ANALYZE public.%I (organization_id, campaign_id, id, status, is_open)', part);
    END IF;
END
$body$;

REVOKE ALL ON FUNCTION system.analyze_deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.analyze_deliveries TO nudge_app;
