-- Webhooks, and how far feeds have been told to others. Conventions as in 0001.

CREATE TABLE webhook (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- Whose it is: a group's, a channel's, or (both NULL) the account's.
    channel_group BIGINT REFERENCES channel_group (id) ON DELETE CASCADE,
    channel BIGINT REFERENCES channel (id) ON DELETE CASCADE,
    -- The group or channel token that made it, and its end: the webhook does not outlive them.
    token BIGINT,
    expire_us BIGINT,
    url TEXT COLLATE "C" NOT NULL,
    secret TEXT COLLATE "C" NOT NULL,
    -- JSON: what is told.
    subscription TEXT COLLATE "C" NOT NULL,
    -- Grows with each change by a client.
    version BIGINT NOT NULL,
    is_active BOOLEAN NOT NULL,
    -- Everything up to these revisions has been told, or given up.
    event_cursor BIGINT NOT NULL,
    document_cursor BIGINT NOT NULL,
    -- Failed attempts at the delivery that is next.
    attempts BIGINT NOT NULL,
    -- Deliveries given up since the last one that succeeded.
    given_up BIGINT NOT NULL,
    next_us BIGINT,
    -- Why the last attempt failed; NULL if it did not.
    error TEXT COLLATE "C",
    status BIGINT,
    success_us BIGINT,
    created_us BIGINT NOT NULL
);
CREATE INDEX webhook_by_account ON webhook (account, id);

CREATE TABLE webhook_failure (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook BIGINT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    -- What would have been sent.
    body TEXT COLLATE "C" NOT NULL,
    entries BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    status BIGINT,
    error TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX webhook_failure_by_webhook ON webhook_failure (webhook, id);

CREATE TABLE feed_cursor (
    name TEXT COLLATE "C" PRIMARY KEY,
    revision BIGINT NOT NULL
);
