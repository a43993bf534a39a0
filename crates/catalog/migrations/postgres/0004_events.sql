-- Events. Conventions as in 0001.

-- Numbers that rows take in the order in which they become visible: whoever takes one keeps the row of its
-- counter until its transaction ends, so a reader that has seen a number has seen all smaller ones.
CREATE TABLE revision_counter (
    name TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO revision_counter (name, value) VALUES ('event', 0);

CREATE TABLE event (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision BIGINT NOT NULL UNIQUE,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    time_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL CHECK (source IN ('api', 'camera', 'server')),
    has_file BOOLEAN NOT NULL
);
CREATE INDEX event_by_time ON event (channel, time_us, id, name);
CREATE INDEX event_by_name ON event (channel, name, time_us, id);
CREATE INDEX event_by_revision ON event (channel, revision);

CREATE TABLE event_tag (
    event BIGINT NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    tag TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (event, tag)
);

-- The JSON file of an event, bounded by the API.
CREATE TABLE event_file (
    event BIGINT PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    body TEXT COLLATE "C" NOT NULL
);

CREATE TABLE event_processing (
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    notify BOOLEAN NOT NULL,
    receive BOOLEAN NOT NULL,
    record BOOLEAN NOT NULL,
    snapshot BOOLEAN NOT NULL,
    generate_images BOOLEAN NOT NULL,
    period_s BIGINT,
    is_custom BOOLEAN NOT NULL,
    PRIMARY KEY (channel, name)
);
