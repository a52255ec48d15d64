CREATE TABLE contacts (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    email text NOT NULL,
    email_norm text NOT NULL,
    first_name text,
    last_name text,
    status text NOT NULL DEFAULT 'subscribed',
    custom_fields jsonb NOT NULL DEFAULT '{}'::jsonb,
    time_zone text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    subscribed_at timestamptz,
    unsubscribed_at timestamptz,
    last_name_norm text GENERATED ALWAYS AS (lower(coalesce(last_name, ''))) STORED NOT NULL,
    -- Case folding of Unicode, independent of the database's locale; Turkish dotted and dotless i compare as equal.
    search_text text GENERATED ALWAYS AS (
        pg_catalog.normalize(
            replace(
                replace(
                    casefold(
                        pg_catalog.normalize(
                            coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || email, 'NFKD'
                        ) COLLATE pg_unicode_fast
                    ),
                    chr(305), 'i'
                ),
                'i' || chr(775), 'i'
            ),
            'NFKC'
        )
    ) STORED NOT NULL,
    CONSTRAINT pk_contacts PRIMARY KEY (id),
    CONSTRAINT uq_contacts_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT uq_contacts_organization_id_email_norm UNIQUE (organization_id, email_norm),
    CONSTRAINT ck_contacts_status
        CHECK (status IN ('subscribed', 'pending', 'unsubscribed', 'bounced', 'complained')),
    CONSTRAINT fk_contacts_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_contacts_email_norm ON contacts (email_norm);
CREATE INDEX ix_contacts_organization_id_created_at_id ON contacts (organization_id, created_at, id);
CREATE INDEX ix_contacts_organization_id_last_name_norm_id ON contacts (organization_id, last_name_norm, id);

CREATE TABLE contact_tags (
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    tag text NOT NULL,
    CONSTRAINT pk_contact_tags PRIMARY KEY (organization_id, contact_id, tag),
    CONSTRAINT fk_contact_tags_organization_id_contact_id FOREIGN KEY (organization_id, contact_id)
        REFERENCES contacts (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_contact_tags_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_contact_tags_organization_id_tag_contact_id ON contact_tags (organization_id, tag, contact_id);

CREATE TABLE lists (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_lists PRIMARY KEY (id),
    CONSTRAINT uq_lists_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT uq_lists_organization_id_name UNIQUE (organization_id, name),
    CONSTRAINT fk_lists_organization_id FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE TABLE list_memberships (
    organization_id uuid NOT NULL,
    list_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_list_memberships PRIMARY KEY (organization_id, list_id, contact_id),
    CONSTRAINT fk_list_memberships_organization_id_list_id FOREIGN KEY (organization_id, list_id)
        REFERENCES lists (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_list_memberships_organization_id_contact_id FOREIGN KEY (organization_id, contact_id)
        REFERENCES contacts (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_list_memberships_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_list_memberships_organization_id_contact_id ON list_memberships (organization_id, contact_id);

CREATE TABLE suppressions (
    organization_id uuid NOT NULL,
    email_norm text NOT NULL,
    reason text NOT NULL,
    source text NOT NULL DEFAULT 'own',
    occurred_at timestamptz DEFAULT now(),
    lifted_at timestamptz,
    is_active boolean GENERATED ALWAYS AS (
        occurred_at IS NOT NULL AND (source = 'own'::text OR lifted_at IS NULL OR occurred_at >=
        lifted_at)
    ) STORED NOT NULL,
    campaign_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_suppressions PRIMARY KEY (organization_id, email_norm, reason),
    CONSTRAINT ck_suppressions_reason CHECK (reason IN ('hard_bounce', 'complaint', 'unsubscribed', 'provider')),
    CONSTRAINT ck_suppressions_source CHECK (source IN ('own', 'provider')),
    CONSTRAINT fk_suppressions_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_suppressions_email_norm ON suppressions (email_norm);

CREATE TABLE contact_events (
    organization_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    id uuid NOT NULL,
    contact_id uuid NOT NULL,
    campaign_id uuid,
    delivery_id uuid,
    kind text NOT NULL,
    dedupe_key text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}'::jsonb,
    CONSTRAINT pk_contact_events PRIMARY KEY (organization_id, occurred_at, id),
    CONSTRAINT uq_contact_events_organization_id_dedupe_key_occurred_at
        UNIQUE (organization_id, dedupe_key, occurred_at),
    CONSTRAINT ck_contact_events_kind
        CHECK (kind IN (
            'delivered', 'opened', 'clicked', 'bounced', 'complained', 'unsubscribed', 'subscribed',
            'rejected', 'suppressed', 'reactivated', 'notice'
        )),
    CONSTRAINT fk_contact_events_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ix_contact_events_organization_id_contact_id_occurred_at
    ON contact_events (organization_id, contact_id, occurred_at);
CREATE INDEX ix_contact_events_organization_id_id ON contact_events (organization_id, id);
