-- Footage that has to stay, and an account of footage that went. Conventions as in 0001.

ALTER TABLE channel ADD COLUMN max_bytes BIGINT;

CREATE TABLE hold (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    expires_us BIGINT,
    created_us BIGINT NOT NULL,
    CHECK (start_us < end_us)
);
CREATE INDEX hold_by_channel ON hold (channel, start_us);

-- No reference to the channel: the row outlives it.
CREATE TABLE deletion (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel BIGINT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    segments BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    at_us BIGINT NOT NULL
);
CREATE INDEX deletion_by_channel ON deletion (channel, id);
CREATE INDEX deletion_by_time ON deletion (at_us);

-- The sum of a channel's sizes does not read the rows.
CREATE INDEX segment_by_size ON segment (channel, state, size_bytes);
