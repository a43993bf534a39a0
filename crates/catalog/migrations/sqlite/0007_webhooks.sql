-- Webhooks, and how far feeds have been told to others. Conventions as in 0001.

CREATE TABLE webhook (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- Whose it is: a group's, a channel's, or (both NULL) the account's.
    channel_group INTEGER REFERENCES channel_group (id) ON DELETE CASCADE,
    channel INTEGER REFERENCES channel (id) ON DELETE CASCADE,
    -- The group or channel token that made it, and its end: the webhook does not outlive them.
    token INTEGER,
    expire_us INTEGER,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    -- JSON: what is told.
    subscription TEXT NOT NULL,
    -- Grows with each change by a client.
    version INTEGER NOT NULL,
    is_active INTEGER NOT NULL,
    -- Everything up to these revisions has been told, or given up.
    event_cursor INTEGER NOT NULL,
    document_cursor INTEGER NOT NULL,
    -- Failed attempts at the delivery that is next.
    attempts INTEGER NOT NULL,
    -- Deliveries given up since the last one that succeeded.
    given_up INTEGER NOT NULL,
    next_us INTEGER,
    -- Why the last attempt failed; NULL if it did not.
    error TEXT,
    status INTEGER,
    success_us INTEGER,
    created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_by_account ON webhook (account, id);

CREATE TABLE webhook_failure (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook INTEGER NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    -- What would have been sent.
    body TEXT NOT NULL,
    entries INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    status INTEGER,
    error TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_failure_by_webhook ON webhook_failure (webhook, id);

CREATE TABLE feed_cursor (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
