-- The order in which documents became visible in their present form; see revision_counter in 0004.

INSERT INTO revision_counter (name, value) SELECT 'document', COUNT(*) FROM meta_document;

CREATE TABLE meta_change (
    revision INTEGER PRIMARY KEY,
    document INTEGER NOT NULL UNIQUE REFERENCES meta_document (number) ON DELETE CASCADE,
    channel INTEGER NOT NULL
) STRICT;
CREATE INDEX meta_change_by_channel ON meta_change (channel, revision, document);
INSERT INTO meta_change (revision, document, channel)
    SELECT row_number() OVER (ORDER BY number), number, channel FROM meta_document;
