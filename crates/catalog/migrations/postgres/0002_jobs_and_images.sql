-- Durable jobs, stored pictures, and how often a channel makes pictures of its live stream.
-- Conventions as in 0001: times in microseconds, COLLATE "C", the same tables in both folders.

ALTER TABLE channel ADD COLUMN image_period_us BIGINT;

CREATE TABLE job (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    account BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    channel BIGINT REFERENCES channel (id) ON DELETE CASCADE,
    -- JSON; what is to be done. Never changes.
    parameters TEXT COLLATE "C" NOT NULL,
    -- At most one open job of a kind with this text.
    dedup TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'running', 'done', 'error', 'cancelled')),
    -- When somebody may take it: a pending job at its time, a running one when its lease ends; NULL once
    -- it has ended.
    due_us BIGINT,
    -- Who works on it: made anew for each take, so that a holder who lost the lease can write no more.
    holder UUID,
    -- Takes since the last saved progress.
    attempts BIGINT NOT NULL,
    -- 0 to 1.
    progress DOUBLE PRECISION NOT NULL,
    -- JSON; where to go on after a crash, and at the end what has been reached.
    position TEXT COLLATE "C",
    -- Why it failed, in words for its owner.
    error TEXT COLLATE "C",
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    finished_us BIGINT,
    -- When the row of an ended job goes.
    expire_us BIGINT,
    CHECK ((state IN ('pending', 'running')) = (due_us IS NOT NULL)),
    CHECK ((state = 'running') = (holder IS NOT NULL))
);
CREATE INDEX job_due ON job (kind, due_us, id) WHERE due_us IS NOT NULL;
CREATE UNIQUE INDEX job_dedup ON job (kind, dedup) WHERE dedup IS NOT NULL AND due_us IS NOT NULL;
CREATE INDEX job_by_channel ON job (channel, kind, id);
CREATE INDEX job_by_account ON job (account, kind, id);
CREATE INDEX job_by_expiry ON job (expire_us) WHERE expire_us IS NOT NULL;

-- No reference to the channel: the rows of a deleted channel stay, doomed, until their objects are gone.
CREATE TABLE image (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    object UUID NOT NULL UNIQUE,
    channel BIGINT NOT NULL,
    -- Capture time.
    time_us BIGINT NOT NULL,
    clock TEXT COLLATE "C" NOT NULL,
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    -- Hash of the content, lower-case hexadecimal.
    hash TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    -- The task, event or upload that made it; 0 if nothing with a number did.
    origin_id BIGINT NOT NULL,
    -- Which picture of the channel: run and presentation time.
    frame TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('staged', 'published', 'doomed')),
    updated_us BIGINT NOT NULL
);
-- The same picture for the same purpose is stored once, however often a job is resumed.
CREATE UNIQUE INDEX image_once ON image (channel, origin, origin_id, frame) WHERE state <> 'doomed';
-- Lists and counts are answered without touching the rows.
CREATE INDEX image_by_time ON image (channel, state, time_us, id, origin, origin_id);
CREATE INDEX image_by_origin ON image (channel, origin, state, time_us, id);
CREATE INDEX image_by_task ON image (origin_id, origin, channel, state, time_us, id) WHERE origin_id <> 0;
-- With the size, so that the sum of all sizes does not read the rows.
CREATE INDEX image_by_state ON image (state, id, size_bytes);
