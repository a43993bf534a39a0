-- What the clocks of cameras did during runs. Conventions as in 0001.

CREATE TABLE run_clock (
    run BLOB PRIMARY KEY NOT NULL,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    offset_us INTEGER NOT NULL,
    drift_ppb INTEGER,
    jumps INTEGER NOT NULL,
    largest_jump_us INTEGER NOT NULL,
    is_used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_clock_by_channel ON run_clock (channel, last_us);
CREATE INDEX run_clock_by_time ON run_clock (last_us);
