-- Stored clips, and the rights to see one that their owners gave away. Conventions as in 0001.

-- No reference to the channel: the rows of a deleted channel stay, doomed, until their objects are gone.
CREATE TABLE clip (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BIGINT NOT NULL,
    channel BIGINT NOT NULL,
    -- pending: its job makes the objects; done: they are complete; doomed: they are to be deleted.
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'done', 'error', 'doomed')),
    title TEXT COLLATE "C" NOT NULL,
    -- Free text of the client.
    clip_group TEXT COLLATE "C",
    -- What was asked for.
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    event_us BIGINT,
    -- When the clip goes by itself.
    delete_us BIGINT,
    -- JSON; how it is to be made. Never changes.
    options TEXT COLLATE "C" NOT NULL,
    -- The job that makes it; NULL only inside the transaction that creates both.
    job BIGINT,
    -- Name of the objects of the newest attempt; made anew for each, so that two never write the same.
    object UUID UNIQUE,
    -- What became of it.
    error TEXT COLLATE "C",
    shown_start_us BIGINT,
    shown_end_us BIGINT,
    duration_us BIGINT,
    size_bytes BIGINT,
    thumb_us BIGINT,
    thumb_width BIGINT,
    thumb_height BIGINT,
    thumb_bytes BIGINT,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    CHECK (state <> 'done' OR (object IS NOT NULL AND size_bytes IS NOT NULL AND thumb_bytes IS NOT NULL))
);
CREATE INDEX clip_by_channel ON clip (channel, created_us, id);
CREATE INDEX clip_by_time ON clip (channel, start_us, end_us);
-- With the size, so that the sum of all sizes does not read the rows.
CREATE INDEX clip_by_state ON clip (state, id, size_bytes);
CREATE INDEX clip_by_expiry ON clip (delete_us) WHERE delete_us IS NOT NULL;

CREATE TABLE clip_share (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clip BIGINT NOT NULL REFERENCES clip (id) ON DELETE CASCADE,
    -- Whole seconds: they are part of the token.
    created_us BIGINT NOT NULL,
    lifetime_s BIGINT NOT NULL
);
CREATE INDEX clip_share_by_clip ON clip_share (clip, id);
