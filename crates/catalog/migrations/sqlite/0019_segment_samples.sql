-- What clips need to know of the samples of each segment, beside the index that every reader wants: counts, times
-- and key frames in runs, and sizes. Both null where that is not known, and in rows from before; the headers
-- in the object tell the same. Conventions as in 0001.

ALTER TABLE segment ADD COLUMN sample_runs BLOB;
ALTER TABLE segment ADD COLUMN sample_sizes BLOB;
