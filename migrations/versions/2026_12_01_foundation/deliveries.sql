-- One row per recipient of a campaign. Ids are UUIDv7, so a range of campaign ids is a range of time.
-- No other index may begin with the columns of the primary key: without statistics the planner might choose it.
CREATE TABLE email_deliveries (
    organization_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT uuidv7(),
    contact_id uuid NOT NULL,
    email text NOT NULL,
    email_norm text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    is_open boolean GENERATED ALWAYS AS (
        status = ANY (ARRAY['pending'::text, 'claimed'::text, 'submitting'::text, 'unknown'::text])
    ) STORED NOT NULL,
    is_exceptional boolean GENERATED ALWAYS AS (
        status = ANY (
            ARRAY['bounced'::text, 'complained'::text, 'rejected'::text, 'skipped'::text, 'failed'::text]
        )
    ) STORED NOT NULL,
    decision text,
    attempts integer NOT NULL DEFAULT 0,
    lease_token uuid,
    lease_until timestamptz,
    batch_id uuid,
    message_id text,
    error_code integer,
    error_message text,
    lookups integer NOT NULL DEFAULT 0,
    next_lookup_at timestamptz,
    submitted_at timestamptz,
    accepted_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    bounced_at timestamptz,
    complained_at timestamptz,
    unsubscribed_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_email_deliveries PRIMARY KEY (organization_id, campaign_id, id),
    CONSTRAINT fk_email_deliveries_organization_id_campaign_id FOREIGN KEY (organization_id, campaign_id)
        REFERENCES campaigns (organization_id, id),
    CONSTRAINT uq_email_deliveries_organization_id_contact_id_campaign_id
        UNIQUE (organization_id, contact_id, campaign_id),
    CONSTRAINT uq_email_deliveries_organization_id_email_norm_campaign_id
        UNIQUE (organization_id, email_norm, campaign_id),
    CONSTRAINT uq_email_deliveries_organization_id_message_id_campaign_id
        UNIQUE (organization_id, message_id, campaign_id),
    CONSTRAINT ck_email_deliveries_status
        CHECK (status IN (
            'pending', 'claimed', 'submitting', 'unknown', 'accepted', 'delivered', 'bounced', 'complained',
            'rejected', 'skipped', 'failed'
        )),
    CONSTRAINT fk_email_deliveries_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
) PARTITION BY RANGE (campaign_id);
CREATE INDEX ix_email_deliveries_open ON email_deliveries (organization_id, campaign_id, id) WHERE is_open;
CREATE INDEX ix_email_deliveries_exceptional ON email_deliveries (organization_id, campaign_id, id)
    WHERE is_exceptional;

CREATE TABLE provider_budgets (
    account text NOT NULL,
    reserved_until timestamptz NOT NULL,
    CONSTRAINT pk_provider_budgets PRIMARY KEY (account)
);

CREATE TABLE webhook_inbox (
    id uuid NOT NULL,
    organization_id uuid,
    provider text NOT NULL,
    dedupe_key text NOT NULL,
    campaign_id uuid,
    message_id text,
    payload jsonb NOT NULL DEFAULT '{}'::jsonb,
    received_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    outcome text,
    email_norm text,
    shared boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_webhook_inbox PRIMARY KEY (id),
    CONSTRAINT uq_webhook_inbox_provider_dedupe_key UNIQUE (provider, dedupe_key)
);
CREATE INDEX ix_webhook_inbox_unattributed ON webhook_inbox (attempts, id)
    WHERE organization_id IS NULL AND attempts < 20;
CREATE INDEX ix_webhook_inbox_waiting ON webhook_inbox (organization_id, due_at, id) WHERE applied_at IS NULL;
