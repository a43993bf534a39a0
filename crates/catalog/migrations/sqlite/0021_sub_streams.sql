-- A sub stream of a camera is a row of `channel` with the negative number of its channel. Everything that
-- refers to a channel holds for it too, and nothing of it lies between what belongs to the main stream.
-- Conventions as in 0001.

-- How far the capture times of a sub stream were from those of its main stream before they were put right.
CREATE TABLE stream_offset (
    run BLOB PRIMARY KEY NOT NULL,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    measured_us INTEGER NOT NULL,
    offset_us INTEGER NOT NULL,
    error_us INTEGER NOT NULL,
    basis TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stream_offset_by_channel ON stream_offset (channel, measured_us);
CREATE INDEX stream_offset_by_time ON stream_offset (measured_us);
