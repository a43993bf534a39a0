-- Stored clips, and the rights to see one that their owners gave away. Conventions as in 0001.

-- No reference to the channel: the rows of a deleted channel stay, doomed, until their objects are gone.
CREATE TABLE clip (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    -- pending: its job makes the objects; done: they are complete; doomed: they are to be deleted.
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'error', 'doomed')),
    title TEXT NOT NULL,
    -- Free text of the client.
    clip_group TEXT,
    -- What was asked for.
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    event_us INTEGER,
    -- When the clip goes by itself.
    delete_us INTEGER,
    -- JSON; how it is to be made. Never changes.
    options TEXT NOT NULL,
    -- The job that makes it; NULL only inside the transaction that creates both.
    job INTEGER,
    -- Name of the objects of the newest attempt; made anew for each, so that two never write the same.
    object BLOB UNIQUE,
    -- What became of it.
    error TEXT,
    shown_start_us INTEGER,
    shown_end_us INTEGER,
    duration_us INTEGER,
    size_bytes INTEGER,
    thumb_us INTEGER,
    thumb_width INTEGER,
    thumb_height INTEGER,
    thumb_bytes INTEGER,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    CHECK (state <> 'done' OR (object IS NOT NULL AND size_bytes IS NOT NULL AND thumb_bytes IS NOT NULL))
) STRICT;
CREATE INDEX clip_by_channel ON clip (channel, created_us, id);
CREATE INDEX clip_by_time ON clip (channel, start_us, end_us);
-- With the size, so that the sum of all sizes does not read the rows.
CREATE INDEX clip_by_state ON clip (state, id, size_bytes);
CREATE INDEX clip_by_expiry ON clip (delete_us) WHERE delete_us IS NOT NULL;

CREATE TABLE clip_share (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    clip INTEGER NOT NULL REFERENCES clip (id) ON DELETE CASCADE,
    -- Whole seconds: they are part of the token.
    created_us INTEGER NOT NULL,
    lifetime_s INTEGER NOT NULL
) STRICT;
CREATE INDEX clip_share_by_clip ON clip_share (clip, id);
