-- Rules on metadata documents. Conventions as in 0001.

CREATE TABLE rule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    -- Whose token made it: a channel's, a group's, or neither: the license key.
    channel INTEGER REFERENCES channel (id) ON DELETE CASCADE,
    channel_group INTEGER REFERENCES channel_group (id) ON DELETE CASCADE,
    -- JSON.
    definition TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    -- Grows with each change; documents up to this revision (0005) are not looked at.
    version INTEGER NOT NULL,
    from_revision INTEGER NOT NULL,
    CHECK (channel IS NULL OR channel_group IS NULL)
) STRICT;
CREATE INDEX rule_by_account ON rule (account, id);

-- What a rule has seen of a channel: JSON.
CREATE TABLE rule_state (
    rule INTEGER NOT NULL REFERENCES rule (id) ON DELETE CASCADE,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    PRIMARY KEY (rule, channel)
) STRICT, WITHOUT ROWID;

-- Up to which revision of documents all rules have looked. One row.
CREATE TABLE rule_cursor (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO rule_cursor (only_row, revision) SELECT 1, value FROM revision_counter WHERE name = 'document';
