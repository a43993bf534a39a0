-- What belongs to documents is deleted with them, all at once. Conventions as in 0001.

-- A reference is looked at for each row, which was most of the cost of a write. The rows of these tables are
-- written by the transaction that writes their document, and by no other: ADR 0030.
ALTER TABLE meta_document DROP CONSTRAINT meta_document_channel_fkey;
ALTER TABLE meta_field DROP CONSTRAINT meta_field_document_fkey;
ALTER TABLE meta_object DROP CONSTRAINT meta_object_document_fkey;
ALTER TABLE meta_vector DROP CONSTRAINT meta_vector_document_fkey;
ALTER TABLE meta_sketch DROP CONSTRAINT meta_sketch_document_fkey;
ALTER TABLE meta_text DROP CONSTRAINT meta_text_document_fkey;
ALTER TABLE meta_change DROP CONSTRAINT meta_change_document_fkey;

-- The settings keep one plan good for any number of documents: a plan that was made for a million of them,
-- and is kept by the connection, would read whole tables for one.
CREATE FUNCTION delete_rows_of_documents() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    DELETE FROM meta_field USING gone WHERE meta_field.document = gone.number;
    DELETE FROM meta_object USING gone WHERE meta_object.document = gone.number;
    DELETE FROM meta_vector USING gone WHERE meta_vector.document = gone.number;
    DELETE FROM meta_sketch USING gone WHERE meta_sketch.document = gone.number;
    DELETE FROM meta_text USING gone WHERE meta_text.document = gone.number;
    DELETE FROM meta_change USING gone WHERE meta_change.document = gone.number;
    RETURN NULL;
END
$$;
CREATE TRIGGER rows_of_deleted_documents AFTER DELETE ON meta_document
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_rows_of_documents();

CREATE FUNCTION delete_documents_of_channels() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    DELETE FROM meta_document USING gone WHERE meta_document.channel = gone.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER documents_of_deleted_channels AFTER DELETE ON channel
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_documents_of_channels();

-- The channel or group token that made a rule, which ends with it; NULL for a license key.
ALTER TABLE rule ADD COLUMN token BIGINT;
-- Why it looks at nothing any more; a change of the rule makes it look again.
ALTER TABLE rule ADD COLUMN disabled TEXT COLLATE "C";
-- Which token made an older rule is not known. The one that stands now has to do.
UPDATE rule SET token = (
    SELECT serial FROM token
    WHERE token.revoked_us IS NULL
        AND (token.channel_group = rule.channel_group OR (token.channel = rule.channel AND token.access = 'all'))
);
