-- Times are microseconds since 1970-01-01 UTC (columns *_us). AUTOINCREMENT: a number that clients have
-- seen never comes back for something else. Both folders declare the same tables; change them together.

CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE channel (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    -- The name, case folded, so that a search ignores case in the same way on both databases.
    name_folded TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    rec_mode TEXT NOT NULL,
    timezone TEXT NOT NULL,
    retention_s INTEGER,
    -- Without credentials; see camera_credential.
    source_url TEXT,
    source_transport TEXT
) STRICT;
CREATE INDEX channel_by_account ON channel (account, id);

-- Apart from the channel, so that no list of channels and no dump of that table carries a password by
-- accident.
CREATE TABLE camera_credential (
    channel INTEGER PRIMARY KEY REFERENCES channel (id) ON DELETE CASCADE,
    login TEXT NOT NULL,
    password TEXT NOT NULL
) STRICT;

CREATE TABLE channel_tag (
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (channel, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_tag_by_tag ON channel_tag (tag, channel);

CREATE TABLE channel_group (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    channels_access TEXT NOT NULL,
    include_all_channels INTEGER NOT NULL,
    expire_us INTEGER,
    max_channels_amount INTEGER,
    ai_targeted INTEGER NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX channel_group_by_account ON channel_group (account, id);

CREATE TABLE channel_group_member (
    channel_group INTEGER NOT NULL REFERENCES channel_group (id) ON DELETE CASCADE,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    PRIMARY KEY (channel_group, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_group_member_by_channel ON channel_group_member (channel);

CREATE TABLE channel_group_meta (
    channel_group INTEGER NOT NULL REFERENCES channel_group (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- JSON text as it was sent.
    value TEXT NOT NULL,
    PRIMARY KEY (channel_group, name)
) STRICT, WITHOUT ROWID;

-- No token text: it is derived from the serial number by HMAC.
CREATE TABLE token (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    kind TEXT NOT NULL CHECK (kind IN ('account', 'channel', 'group')),
    channel INTEGER REFERENCES channel (id) ON DELETE CASCADE,
    channel_group INTEGER REFERENCES channel_group (id) ON DELETE CASCADE,
    access TEXT,
    created_us INTEGER NOT NULL,
    lifetime_s INTEGER NOT NULL,
    revoked_us INTEGER,
    CHECK ((kind = 'channel') = (channel IS NOT NULL AND access IS NOT NULL)),
    CHECK ((kind = 'group') = (channel_group IS NOT NULL))
) STRICT;
-- At most one standing token for each target.
CREATE UNIQUE INDEX token_standing_account ON token (account) WHERE kind = 'account' AND revoked_us IS NULL;
CREATE UNIQUE INDEX token_standing_channel ON token (channel, access) WHERE revoked_us IS NULL;
CREATE UNIQUE INDEX token_standing_group ON token (channel_group) WHERE revoked_us IS NULL;
CREATE INDEX token_by_account ON token (account, kind);
CREATE INDEX token_by_channel ON token (channel);
CREATE INDEX token_by_group ON token (channel_group);

-- No reference to the channel: the rows of a deleted channel stay, doomed, until their objects are gone.
CREATE TABLE segment (
    record INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    channel INTEGER NOT NULL,
    run BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    clock TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    codecs TEXT NOT NULL,
    fragment_index BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('staged', 'published', 'doomed')),
    updated_us INTEGER NOT NULL,
    CHECK (start_us <= end_us)
) STRICT;
-- The first answers overlap queries and timelines without touching the rows.
CREATE INDEX segment_by_start ON segment (channel, state, start_us, record, end_us);
CREATE INDEX segment_by_end ON segment (channel, state, end_us, start_us);
-- With the size, so that the sum of all sizes does not read the rows.
CREATE INDEX segment_by_state ON segment (state, record, size_bytes);

CREATE TABLE gap (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    start_us INTEGER NOT NULL,
    end_us INTEGER,
    reason TEXT NOT NULL,
    CHECK (end_us IS NULL OR start_us < end_us)
) STRICT;
CREATE INDEX gap_by_end ON gap (channel, end_us, start_us);
CREATE UNIQUE INDEX gap_open ON gap (channel) WHERE end_us IS NULL;

CREATE TABLE meta_document (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    timestamp_us INTEGER NOT NULL,
    raw_data TEXT,
    -- Words of id and raw_data, see meta_field.words.
    id_words TEXT NOT NULL,
    raw_words TEXT,
    -- The typed maps as they are given back; meta_field is what filters read.
    body TEXT NOT NULL
) STRICT;
CREATE INDEX meta_document_by_time ON meta_document (channel, timestamp_us, id);

CREATE TABLE meta_field (
    document INTEGER NOT NULL REFERENCES meta_document (number) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('long', 'float', 'string')),
    name TEXT NOT NULL,
    channel INTEGER NOT NULL,
    long_value INTEGER,
    float_value REAL,
    text_value TEXT,
    -- Beginning of text_value, short enough for an index entry.
    text_key TEXT,
    -- Words of text_value, case folded, with a space before and after each.
    words TEXT,
    PRIMARY KEY (document, kind, name)
) STRICT, WITHOUT ROWID;
-- For rare values, see meta_candidates.rs.
CREATE INDEX meta_field_long ON meta_field (channel, name, long_value) WHERE long_value IS NOT NULL;
CREATE INDEX meta_field_text ON meta_field (channel, name, text_key) WHERE text_key IS NOT NULL;
