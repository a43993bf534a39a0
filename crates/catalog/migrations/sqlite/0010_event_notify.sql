-- Whether somebody is to be told of an event, as its channel was set when it was stored.

ALTER TABLE event ADD COLUMN notify INTEGER NOT NULL DEFAULT 1;
