-- Native members of metadata documents, full text, vectors. Conventions as in 0001.

-- Which picture a document is about (FrameId as text) and when it was captured; what made the document; the
-- objects and the free data as JSON, as they are given back; how many numbers its vector has.
ALTER TABLE meta_document
    ADD COLUMN frame TEXT COLLATE "C",
    ADD COLUMN frame_us BIGINT,
    ADD COLUMN model_name TEXT COLLATE "C",
    ADD COLUMN model_version TEXT COLLATE "C",
    ADD COLUMN native TEXT COLLATE "C",
    ADD COLUMN vector_len BIGINT;
CREATE INDEX meta_document_by_frame ON meta_document (channel, frame) WHERE frame IS NOT NULL;
-- Walked by searches over many channels; see meta_search.rs.
CREATE INDEX meta_document_by_moment ON meta_document (timestamp_us, number, channel);

-- What filters read of an object; the edges are those of its region, as parts of the picture.
CREATE TABLE meta_object (
    document BIGINT NOT NULL REFERENCES meta_document (number) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    channel BIGINT NOT NULL,
    label TEXT COLLATE "C",
    score DOUBLE PRECISION,
    track TEXT COLLATE "C",
    min_x DOUBLE PRECISION,
    min_y DOUBLE PRECISION,
    max_x DOUBLE PRECISION,
    max_y DOUBLE PRECISION,
    PRIMARY KEY (document, position)
);
CREATE INDEX meta_object_by_label ON meta_object (channel, label) WHERE label IS NOT NULL;
CREATE INDEX meta_object_by_track ON meta_object (channel, track) WHERE track IS NOT NULL;

-- Little-endian f32.
CREATE TABLE meta_vector (
    document BIGINT PRIMARY KEY REFERENCES meta_document (number) ON DELETE CASCADE,
    vector BYTEA NOT NULL
);
-- Numbers of learned vectors do not compress; trying costs time at every write.
ALTER TABLE meta_vector ALTER COLUMN vector SET STORAGE EXTERNAL;

-- What the index of vectors in memory is made of, apart from the vectors, which are many times as long.
CREATE TABLE meta_sketch (
    document BIGINT PRIMARY KEY REFERENCES meta_document (number) ON DELETE CASCADE,
    channel BIGINT NOT NULL,
    timestamp_us BIGINT NOT NULL,
    dimensions BIGINT NOT NULL,
    sketch BYTEA NOT NULL
);

-- Words are split and folded before they come here (text.rs), so no parser of PostgreSQL is asked.
CREATE TABLE meta_text (
    document BIGINT PRIMARY KEY REFERENCES meta_document (number) ON DELETE CASCADE,
    words tsvector NOT NULL
);
-- A tsvector holds 1 MiB: of older documents with more words, some words are not found.
INSERT INTO meta_text (document, words)
    SELECT document, array_to_tsvector((array_agg(DISTINCT word))[1:4000])
    FROM (
        SELECT number AS document, left(word, 64) AS word
        FROM meta_document, unnest(string_to_array(raw_words, ' ')) AS word
        UNION ALL
        SELECT document, left(word, 64)
        FROM meta_field, unnest(string_to_array(words, ' ')) AS word
        WHERE kind = 'string'
    ) AS every_word
    WHERE word <> ''
    GROUP BY document;
CREATE INDEX meta_text_words ON meta_text USING gin (words);

-- From a frame id to its segment.
CREATE INDEX segment_by_run ON segment (run, sequence);
