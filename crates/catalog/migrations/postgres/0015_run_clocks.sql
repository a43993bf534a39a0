-- What the clocks of cameras did during runs. Conventions as in 0001.

CREATE TABLE run_clock (
    run UUID PRIMARY KEY NOT NULL,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    first_us BIGINT NOT NULL,
    last_us BIGINT NOT NULL,
    offset_us BIGINT NOT NULL,
    drift_ppb BIGINT,
    jumps BIGINT NOT NULL,
    largest_jump_us BIGINT NOT NULL,
    is_used BOOLEAN NOT NULL
);
CREATE INDEX run_clock_by_channel ON run_clock (channel, last_us);
CREATE INDEX run_clock_by_time ON run_clock (last_us);
