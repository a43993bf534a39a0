-- Times are microseconds since 1970-01-01 UTC (columns *_us). Identity columns: a number that clients have
-- seen never comes back for something else. Both folders declare the same tables; change them together.
-- COLLATE "C" compares and sorts by code point, as SQLite does, whatever the locale of the database is.

CREATE TABLE account (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_us BIGINT NOT NULL
);

CREATE TABLE channel (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES account (id),
    name TEXT COLLATE "C" NOT NULL,
    -- The name, case folded, so that a search ignores case in the same way on both databases.
    name_folded TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    rec_mode TEXT COLLATE "C" NOT NULL,
    timezone TEXT COLLATE "C" NOT NULL,
    retention_s BIGINT,
    -- Without credentials; see camera_credential.
    source_url TEXT COLLATE "C",
    source_transport TEXT COLLATE "C"
);
CREATE INDEX channel_by_account ON channel (account, id);

-- Apart from the channel, so that no list of channels and no dump of that table carries a password by
-- accident.
CREATE TABLE camera_credential (
    channel BIGINT PRIMARY KEY REFERENCES channel (id) ON DELETE CASCADE,
    login TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL
);

CREATE TABLE channel_tag (
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    tag TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (channel, tag)
);
CREATE INDEX channel_tag_by_tag ON channel_tag (tag, channel);

CREATE TABLE channel_group (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES account (id),
    name TEXT COLLATE "C" NOT NULL,
    channels_access TEXT COLLATE "C" NOT NULL,
    include_all_channels BOOLEAN NOT NULL,
    expire_us BIGINT,
    max_channels_amount BIGINT,
    ai_targeted BOOLEAN NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX channel_group_by_account ON channel_group (account, id);

CREATE TABLE channel_group_member (
    channel_group BIGINT NOT NULL REFERENCES channel_group (id) ON DELETE CASCADE,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    PRIMARY KEY (channel_group, channel)
);
CREATE INDEX channel_group_member_by_channel ON channel_group_member (channel);

CREATE TABLE channel_group_meta (
    channel_group BIGINT NOT NULL REFERENCES channel_group (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    -- JSON text as it was sent.
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (channel_group, name)
);

-- No token text: it is derived from the serial number by HMAC.
CREATE TABLE token (
    serial BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES account (id),
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('account', 'channel', 'group')),
    channel BIGINT REFERENCES channel (id) ON DELETE CASCADE,
    channel_group BIGINT REFERENCES channel_group (id) ON DELETE CASCADE,
    access TEXT COLLATE "C",
    created_us BIGINT NOT NULL,
    lifetime_s BIGINT NOT NULL,
    revoked_us BIGINT,
    CHECK ((kind = 'channel') = (channel IS NOT NULL AND access IS NOT NULL)),
    CHECK ((kind = 'group') = (channel_group IS NOT NULL))
);
-- At most one standing token for each target.
CREATE UNIQUE INDEX token_standing_account ON token (account) WHERE kind = 'account' AND revoked_us IS NULL;
CREATE UNIQUE INDEX token_standing_channel ON token (channel, access) WHERE revoked_us IS NULL;
CREATE UNIQUE INDEX token_standing_group ON token (channel_group) WHERE revoked_us IS NULL;
CREATE INDEX token_by_account ON token (account, kind);
CREATE INDEX token_by_channel ON token (channel);
CREATE INDEX token_by_group ON token (channel_group);

-- No reference to the channel: the rows of a deleted channel stay, doomed, until their objects are gone.
CREATE TABLE segment (
    record BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id UUID NOT NULL UNIQUE,
    channel BIGINT NOT NULL,
    run UUID NOT NULL,
    sequence BIGINT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    clock TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    codecs TEXT COLLATE "C" NOT NULL,
    fragment_index BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('staged', 'published', 'doomed')),
    updated_us BIGINT NOT NULL,
    CHECK (start_us <= end_us)
);
-- The first answers overlap queries and timelines without touching the rows.
CREATE INDEX segment_by_start ON segment (channel, state, start_us, record, end_us);
CREATE INDEX segment_by_end ON segment (channel, state, end_us, start_us);
-- With the size, so that the sum of all sizes does not read the rows.
CREATE INDEX segment_by_state ON segment (state, record, size_bytes);

CREATE TABLE gap (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    start_us BIGINT NOT NULL,
    end_us BIGINT,
    reason TEXT COLLATE "C" NOT NULL,
    CHECK (end_us IS NULL OR start_us < end_us)
);
CREATE INDEX gap_by_end ON gap (channel, end_us, start_us);
CREATE UNIQUE INDEX gap_open ON gap (channel) WHERE end_us IS NULL;

CREATE TABLE meta_document (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    timestamp_us BIGINT NOT NULL,
    raw_data TEXT COLLATE "C",
    -- Words of id and raw_data, see meta_field.words.
    id_words TEXT COLLATE "C" NOT NULL,
    raw_words TEXT COLLATE "C",
    -- The typed maps as they are given back; meta_field is what filters read.
    body TEXT COLLATE "C" NOT NULL
);
CREATE INDEX meta_document_by_time ON meta_document (channel, timestamp_us, id);

CREATE TABLE meta_field (
    document BIGINT NOT NULL REFERENCES meta_document (number) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('long', 'float', 'string')),
    name TEXT COLLATE "C" NOT NULL,
    channel BIGINT NOT NULL,
    long_value BIGINT,
    float_value DOUBLE PRECISION,
    text_value TEXT COLLATE "C",
    -- Beginning of text_value, short enough for an index entry.
    text_key TEXT COLLATE "C",
    -- Words of text_value, case folded, with a space before and after each.
    words TEXT COLLATE "C",
    PRIMARY KEY (document, kind, name)
);
-- For rare values, see meta_candidates.rs.
CREATE INDEX meta_field_long ON meta_field (channel, name, long_value) WHERE long_value IS NOT NULL;
CREATE INDEX meta_field_text ON meta_field (channel, name, text_key) WHERE text_key IS NOT NULL;
