-- Recording around events, and modes by time of week. Conventions as in 0001.

-- Absent: what the server is set to.
ALTER TABLE channel ADD COLUMN pre_roll_us INTEGER;
ALTER TABLE channel ADD COLUMN post_roll_us INTEGER;
-- JSON.
ALTER TABLE channel ADD COLUMN schedule TEXT;
