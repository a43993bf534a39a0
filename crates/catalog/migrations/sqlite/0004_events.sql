-- Events. Conventions as in 0001.

-- Numbers that rows take in the order in which they become visible: whoever takes one keeps the row of its
-- counter until its transaction ends, so a reader that has seen a number has seen all smaller ones.
CREATE TABLE revision_counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO revision_counter (name, value) VALUES ('event', 0);

CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    revision INTEGER NOT NULL UNIQUE,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('api', 'camera', 'server')),
    has_file INTEGER NOT NULL
) STRICT;
CREATE INDEX event_by_time ON event (channel, time_us, id, name);
CREATE INDEX event_by_name ON event (channel, name, time_us, id);
CREATE INDEX event_by_revision ON event (channel, revision);

CREATE TABLE event_tag (
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (event, tag)
) STRICT, WITHOUT ROWID;

-- The JSON file of an event, bounded by the API.
CREATE TABLE event_file (
    event INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE event_processing (
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    notify INTEGER NOT NULL,
    receive INTEGER NOT NULL,
    record INTEGER NOT NULL,
    snapshot INTEGER NOT NULL,
    generate_images INTEGER NOT NULL,
    period_s INTEGER,
    is_custom INTEGER NOT NULL,
    PRIMARY KEY (channel, name)
) STRICT, WITHOUT ROWID;
