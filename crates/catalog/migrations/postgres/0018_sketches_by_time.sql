-- Few documents with vectors among many without are found without a look at the others.
CREATE INDEX meta_sketch_by_time ON meta_sketch (dimensions, channel, timestamp_us, document);
