-- Ids of documents are their clients' to choose, so they are unique in a channel, not among all: nobody can
-- take an id away from somebody else, or learn that it exists. SQLite cannot drop a UNIQUE, so the tables
-- are made anew.

CREATE TABLE meta_document_new (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    timestamp_us INTEGER NOT NULL,
    raw_data TEXT,
    -- Words of id and raw_data, see meta_field.words.
    id_words TEXT NOT NULL,
    raw_words TEXT,
    -- The typed maps as they are given back; meta_field is what filters read.
    body TEXT NOT NULL,
    UNIQUE (channel, id)
) STRICT;
INSERT INTO meta_document_new (number, id, channel, timestamp_us, raw_data, id_words, raw_words, body)
    SELECT number, id, channel, timestamp_us, raw_data, id_words, raw_words, body FROM meta_document;

CREATE TABLE meta_field_new (
    document INTEGER NOT NULL REFERENCES meta_document_new (number) ON DELETE CASCADE,
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
INSERT INTO meta_field_new (document, kind, name, channel, long_value, float_value, text_value, text_key, words)
    SELECT document, kind, name, channel, long_value, float_value, text_value, text_key, words FROM meta_field;

DROP TABLE meta_field;
DROP TABLE meta_document;
ALTER TABLE meta_document_new RENAME TO meta_document;
ALTER TABLE meta_field_new RENAME TO meta_field;
CREATE INDEX meta_document_by_time ON meta_document (channel, timestamp_us, id);
-- For rare values, see meta_candidates.rs.
CREATE INDEX meta_field_long ON meta_field (channel, name, long_value) WHERE long_value IS NOT NULL;
CREATE INDEX meta_field_text ON meta_field (channel, name, text_key) WHERE text_key IS NOT NULL;

-- Quotas of a channel (contract section 4.4); no row means unlimited. JSON text as it was sent.
CREATE TABLE channel_limit (
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (channel, name)
) STRICT, WITHOUT ROWID;
