-- Ids of documents are their clients' to choose, so they are unique in a channel, not among all: nobody can
-- take an id away from somebody else, or learn that it exists.

ALTER TABLE meta_document DROP CONSTRAINT meta_document_id_key;
ALTER TABLE meta_document ADD CONSTRAINT meta_document_channel_id_key UNIQUE (channel, id);

-- Quotas of a channel (contract section 4.4); no row means unlimited. JSON text as it was sent.
CREATE TABLE channel_limit (
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (channel, name)
);
