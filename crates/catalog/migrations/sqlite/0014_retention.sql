-- Footage that has to stay, and an account of footage that went. Conventions as in 0001.

ALTER TABLE channel ADD COLUMN max_bytes INTEGER;

CREATE TABLE hold (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    expires_us INTEGER,
    created_us INTEGER NOT NULL,
    CHECK (start_us < end_us)
) STRICT;
CREATE INDEX hold_by_channel ON hold (channel, start_us);

-- No reference to the channel: the row outlives it.
CREATE TABLE deletion (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX deletion_by_channel ON deletion (channel, id);
CREATE INDEX deletion_by_time ON deletion (at_us);

-- The sum of a channel's sizes does not read the rows.
CREATE INDEX segment_by_size ON segment (channel, state, size_bytes);
