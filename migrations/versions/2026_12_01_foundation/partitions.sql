-- Default partitions, for rows of months without a partition.
CREATE TABLE email_deliveries_default PARTITION OF email_deliveries DEFAULT;
CREATE TABLE contact_events_default PARTITION OF contact_events DEFAULT;

-- A campaign belongs to one organization. Without these statistics the planner multiplies both selectivities, and
-- expects a few rows.
CREATE STATISTICS email_deliveries_campaigns (dependencies, mcv)
    ON organization_id, campaign_id FROM email_deliveries;

SELECT system.ensure_partitions();
