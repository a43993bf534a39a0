-- Where channels look for motion. Conventions as in 0001.

CREATE TABLE motion_region (
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    -- From 0, in the order in which they were given.
    position BIGINT NOT NULL,
    enabled BOOLEAN NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    sensitivity BIGINT NOT NULL,
    -- A bit for each cell, in hexadecimal.
    map TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (channel, position)
);
