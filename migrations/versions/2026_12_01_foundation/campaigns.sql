CREATE TABLE templates (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    subject text NOT NULL,
    html_content text NOT NULL,
    text_content text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_templates PRIMARY KEY (id),
    CONSTRAINT uq_templates_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT uq_templates_organization_id_name UNIQUE (organization_id, name),
    CONSTRAINT fk_templates_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE TABLE campaigns (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    subject text NOT NULL,
    html_content text NOT NULL,
    text_content text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'draft',
    status_reason text,
    on_doubt text NOT NULL DEFAULT 'reconcile_then_retry',
    version integer NOT NULL DEFAULT 1,
    author_id uuid,
    template_id uuid,
    sender_id uuid,
    from_sender_id uuid,
    from_header text,
    settings jsonb NOT NULL DEFAULT '{}'::jsonb,
    scheduled_at timestamptz,
    started_at timestamptz,
    sent_at timestamptz,
    archived_at timestamptz,
    prepare_cursor uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_campaigns PRIMARY KEY (id),
    CONSTRAINT uq_campaigns_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT fk_campaigns_organization_id_author_id FOREIGN KEY (organization_id, author_id)
        REFERENCES users (organization_id, id),
    CONSTRAINT fk_campaigns_organization_id_sender_id FOREIGN KEY (organization_id, sender_id)
        REFERENCES senders (organization_id, id) ON DELETE SET NULL (sender_id),
    CONSTRAINT fk_campaigns_organization_id_from_sender_id FOREIGN KEY (organization_id, from_sender_id)
        REFERENCES senders (organization_id, id) ON DELETE SET NULL (from_sender_id),
    CONSTRAINT ck_campaigns_status
        CHECK (status IN (
            'draft', 'scheduled', 'preparing', 'sending', 'paused', 'sent', 'sent_with_issues',
            'cancelling', 'cancelled', 'failed'
        )),
    CONSTRAINT ck_campaigns_on_doubt CHECK (on_doubt IN ('reconcile_then_retry', 'hold')),
    CONSTRAINT ck_campaigns_version CHECK (version > 0),
    CONSTRAINT fk_campaigns_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_campaigns_live ON campaigns (status, id)
    WHERE status IN ('scheduled', 'preparing', 'sending', 'paused', 'cancelling');
CREATE INDEX ix_campaigns_organization_id_created_at_id ON campaigns (organization_id, created_at, id);
CREATE INDEX ix_campaigns_organization_id_from_sender_id ON campaigns (organization_id, from_sender_id)
    WHERE from_sender_id IS NOT NULL;
CREATE INDEX ix_campaigns_organization_id_sender_id ON campaigns (organization_id, sender_id)
    WHERE sender_id IS NOT NULL;

CREATE TABLE campaign_recipients (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    kind text NOT NULL,
    tag text,
    list_id uuid,
    contact_id uuid,
    excluded boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_campaign_recipients PRIMARY KEY (id),
    CONSTRAINT fk_campaign_recipients_organization_id_campaign_id FOREIGN KEY (organization_id, campaign_id)
        REFERENCES campaigns (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_campaign_recipients_organization_id_list_id FOREIGN KEY (organization_id, list_id)
        REFERENCES lists (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_campaign_recipients_organization_id_contact_id FOREIGN KEY (organization_id, contact_id)
        REFERENCES contacts (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_campaign_recipients_kind CHECK (kind IN ('all', 'list', 'segment', 'tag', 'contact')),
    CONSTRAINT fk_campaign_recipients_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_campaign_recipients_organization_id_campaign_id ON campaign_recipients (organization_id, campaign_id);

CREATE TABLE campaign_stats (
    organization_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    sequence bigint NOT NULL DEFAULT '0',
    audience integer NOT NULL DEFAULT 0,
    pending integer NOT NULL DEFAULT 0,
    in_flight integer NOT NULL DEFAULT 0,
    accepted integer NOT NULL DEFAULT 0,
    delivered integer NOT NULL DEFAULT 0,
    bounced integer NOT NULL DEFAULT 0,
    complained integer NOT NULL DEFAULT 0,
    rejected integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    unknown integer NOT NULL DEFAULT 0,
    reached integer NOT NULL DEFAULT 0,
    opened integer NOT NULL DEFAULT 0,
    clicked integer NOT NULL DEFAULT 0,
    unsubscribed integer NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_campaign_stats PRIMARY KEY (organization_id, campaign_id),
    CONSTRAINT fk_campaign_stats_organization_id_campaign_id FOREIGN KEY (organization_id, campaign_id)
        REFERENCES campaigns (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_campaign_stats_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
) WITH (fillfactor = 50);
