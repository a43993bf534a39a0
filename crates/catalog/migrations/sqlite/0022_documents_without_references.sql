-- PostgreSQL drops the references to documents here, which cost it much. SQLite looks a reference up in a page
-- that it has at hand, and cannot drop one without a copy of the table. Conventions as in 0001.

-- The channel or group token that made a rule, which ends with it; NULL for a license key.
ALTER TABLE rule ADD COLUMN token INTEGER;
-- Why it looks at nothing any more; a change of the rule makes it look again.
ALTER TABLE rule ADD COLUMN disabled TEXT;
-- Which token made an older rule is not known. The one that stands now has to do.
UPDATE rule SET token = (
    SELECT serial FROM token
    WHERE token.revoked_us IS NULL
        AND (token.channel_group = rule.channel_group OR (token.channel = rule.channel AND token.access = 'all'))
);
