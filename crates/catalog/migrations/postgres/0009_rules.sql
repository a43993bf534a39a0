-- Rules on metadata documents. Conventions as in 0001.

CREATE TABLE rule (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES account (id),
    -- Whose token made it: a channel's, a group's, or neither: the license key.
    channel BIGINT REFERENCES channel (id) ON DELETE CASCADE,
    channel_group BIGINT REFERENCES channel_group (id) ON DELETE CASCADE,
    -- JSON.
    definition TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    -- Grows with each change; documents up to this revision (0005) are not looked at.
    version BIGINT NOT NULL,
    from_revision BIGINT NOT NULL,
    CHECK (channel IS NULL OR channel_group IS NULL)
);
CREATE INDEX rule_by_account ON rule (account, id);

-- What a rule has seen of a channel: JSON.
CREATE TABLE rule_state (
    rule BIGINT NOT NULL REFERENCES rule (id) ON DELETE CASCADE,
    channel BIGINT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    state TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (rule, channel)
);

-- Up to which revision of documents all rules have looked. One row.
CREATE TABLE rule_cursor (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    revision BIGINT NOT NULL
);
INSERT INTO rule_cursor (only_row, revision) SELECT 1, value FROM revision_counter WHERE name = 'document';
