-- Native members of metadata documents, full text, vectors. Conventions as in 0001.

-- Which picture a document is about (FrameId as text) and when it was captured; what made the document; the
-- objects and the free data as JSON, as they are given back; how many numbers its vector has.
ALTER TABLE meta_document ADD COLUMN frame TEXT;
ALTER TABLE meta_document ADD COLUMN frame_us INTEGER;
ALTER TABLE meta_document ADD COLUMN model_name TEXT;
ALTER TABLE meta_document ADD COLUMN model_version TEXT;
ALTER TABLE meta_document ADD COLUMN native TEXT;
ALTER TABLE meta_document ADD COLUMN vector_len INTEGER;
CREATE INDEX meta_document_by_frame ON meta_document (channel, frame) WHERE frame IS NOT NULL;
-- Walked by searches over many channels; see meta_search.rs.
CREATE INDEX meta_document_by_moment ON meta_document (timestamp_us, number, channel);

-- What filters read of an object; the edges are those of its region, as parts of the picture.
CREATE TABLE meta_object (
    document INTEGER NOT NULL REFERENCES meta_document (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    label TEXT,
    score REAL,
    track TEXT,
    min_x REAL,
    min_y REAL,
    max_x REAL,
    max_y REAL,
    PRIMARY KEY (document, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX meta_object_by_label ON meta_object (channel, label) WHERE label IS NOT NULL;
CREATE INDEX meta_object_by_track ON meta_object (channel, track) WHERE track IS NOT NULL;

-- Little-endian f32.
CREATE TABLE meta_vector (
    document INTEGER PRIMARY KEY REFERENCES meta_document (number) ON DELETE CASCADE,
    vector BLOB NOT NULL
) STRICT;

-- What the index of vectors in memory is made of, apart from the vectors, which are many times as long.
CREATE TABLE meta_sketch (
    document INTEGER PRIMARY KEY REFERENCES meta_document (number) ON DELETE CASCADE,
    channel INTEGER NOT NULL,
    timestamp_us INTEGER NOT NULL,
    dimensions INTEGER NOT NULL,
    sketch BLOB NOT NULL
) STRICT;

-- Words are split and folded before they come here (text.rs): for this tokenizer every character beyond
-- ASCII is part of a word, so it splits at our spaces and nowhere else.
CREATE VIRTUAL TABLE meta_text USING fts5 (words, content='', contentless_delete=1, detail=none, tokenize='ascii');
INSERT INTO meta_text (rowid, words)
    SELECT number, words FROM (
        SELECT number, coalesce(raw_words, '') || ' ' || coalesce(
            (SELECT group_concat(words, ' ') FROM meta_field WHERE document = number AND kind = 'string'), ''
        ) AS words
        FROM meta_document
    ) WHERE trim(words) <> '';
-- A virtual table has no foreign keys.
CREATE TRIGGER meta_text_of_deleted AFTER DELETE ON meta_document BEGIN
    DELETE FROM meta_text WHERE rowid = old.number;
END;

-- From a frame id to its segment.
CREATE INDEX segment_by_run ON segment (run, sequence);
