-- What others keep of channels because they were told of them, and have to be told to forget. Conventions
-- as in 0001. No reference to the channel: the row outlives it.

CREATE TABLE told_channel (
    -- As in feed_cursor.
    name TEXT COLLATE "C" NOT NULL,
    channel BIGINT NOT NULL,
    PRIMARY KEY (name, channel)
);
