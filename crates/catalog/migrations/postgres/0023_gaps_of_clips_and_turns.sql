-- What stored clips lack, clips without a thumbnail, and whose turn it is among those who wait for jobs.

-- JSON: the first holes, [start_us, end_us, reason] each; NULL: nobody wrote them down (clips of before).
ALTER TABLE clip ADD COLUMN gaps TEXT COLLATE "C";
-- How many there are.
ALTER TABLE clip ADD COLUMN gap_count BIGINT;
-- Why a finished clip has no thumbnail; thumb_bytes is 0 then, and what else tells of the thumbnail is NULL.
ALTER TABLE clip ADD COLUMN thumb_error TEXT COLLATE "C";

-- What a finished clip consists of, in the form of who makes it; apart from the clip, since lists do not read it.
CREATE TABLE clip_makeup (
    clip BIGINT PRIMARY KEY REFERENCES clip (id) ON DELETE CASCADE,
    makeup TEXT COLLATE "C" NOT NULL
);

-- The turns of accounts among the jobs of a kind: who had none for longest is next.
CREATE TABLE job_turn (
    kind TEXT COLLATE "C" NOT NULL,
    account BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- Rises with each turn of anybody.
    turn BIGINT NOT NULL,
    PRIMARY KEY (kind, account)
);
CREATE INDEX job_due_of_account ON job (account, kind, due_us, id) WHERE due_us IS NOT NULL;
