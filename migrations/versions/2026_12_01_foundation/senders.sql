CREATE TABLE senders (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    email text NOT NULL,
    email_norm text NOT NULL,
    name text NOT NULL,
    confirmed_at timestamptz,
    is_default boolean NOT NULL DEFAULT false,
    becomes_default boolean NOT NULL DEFAULT false,
    requested_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_senders PRIMARY KEY (id),
    CONSTRAINT uq_senders_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT uq_senders_organization_id_email_norm UNIQUE (organization_id, email_norm),
    CONSTRAINT fk_senders_organization_id_requested_by FOREIGN KEY (organization_id, requested_by)
        REFERENCES users (organization_id, id) ON DELETE SET NULL (requested_by),
    CONSTRAINT fk_senders_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_senders_default ON senders (organization_id) WHERE is_default;

CREATE TABLE sender_confirmations (
    fingerprint bytea NOT NULL,
    organization_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_sender_confirmations PRIMARY KEY (fingerprint),
    CONSTRAINT fk_sender_confirmations_organization_id_sender_id FOREIGN KEY (organization_id, sender_id)
        REFERENCES senders (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_sender_confirmations_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_sender_confirmations_organization_id_sender_id ON sender_confirmations (organization_id, sender_id);

CREATE TABLE outbox (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    target_id uuid NOT NULL,
    email text NOT NULL,
    dedupe_key text,
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    lease_token uuid,
    lease_until timestamptz,
    batch_id uuid,
    submitted_at timestamptz,
    lookups integer NOT NULL DEFAULT 0,
    message_id text,
    error_code integer,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_organization_id_dedupe_key UNIQUE (organization_id, dedupe_key),
    CONSTRAINT ck_outbox_kind CHECK (kind IN ('sender_confirmation')),
    CONSTRAINT ck_outbox_status
        CHECK (status IN ('pending', 'submitting', 'unknown', 'accepted', 'failed', 'cancelled')),
    CONSTRAINT fk_outbox_organization_id FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_outbox_open ON outbox (organization_id, due_at, id)
    WHERE status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text]);
CREATE INDEX ix_outbox_organization_id_kind_created_at ON outbox (organization_id, kind, created_at);
