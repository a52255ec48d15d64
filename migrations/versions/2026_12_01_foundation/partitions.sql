-- Default partitions, for rows of which no month has a partition.
CREATE TABLE email_deliveries_default PARTITION OF email_deliveries DEFAULT;
CREATE TABLE contact_events_default PARTITION OF contact_events DEFAULT;

-- A campaign is of one organization: without this the planner multiplies both shares and expects a handful of rows.
CREATE STATISTICS email_deliveries_campaigns (dependencies, mcv)
    ON organization_id, campaign_id FROM email_deliveries;

SELECT system.ensure_partitions();
