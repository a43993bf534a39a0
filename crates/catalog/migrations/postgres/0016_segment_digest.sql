-- SHA-256 of each segment and when it was taken (written, recovered, imported, rebuilt); both null in rows
-- from before. Conventions as in 0001.

ALTER TABLE segment ADD COLUMN digest BYTEA;
ALTER TABLE segment ADD COLUMN digest_source TEXT COLLATE "C";
