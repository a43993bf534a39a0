-- Where channels look for motion. Conventions as in 0001.

CREATE TABLE motion_region (
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    -- From 0, in the order in which they were given.
    position INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    name TEXT NOT NULL,
    sensitivity INTEGER NOT NULL,
    -- A bit for each cell, in hexadecimal.
    map TEXT NOT NULL,
    PRIMARY KEY (channel, position)
) STRICT, WITHOUT ROWID;
