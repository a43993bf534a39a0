-- Open jobs are counted when one is added: those that have ended are not read.
CREATE INDEX job_open_by_channel ON job (channel, kind) WHERE due_us IS NOT NULL;
CREATE INDEX job_open_by_account ON job (account, kind) WHERE due_us IS NOT NULL;
-- With the size, as clip_by_state.
CREATE INDEX clip_by_account ON clip (account, state, size_bytes);
-- Failed clips go after a while.
CREATE INDEX clip_by_change ON clip (state, updated_us);
