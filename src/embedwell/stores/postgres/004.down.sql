-- Back to schema 3, which has one space for text and code. Run in one transaction, in which plain
-- names mean our schema only.

DO $$
BEGIN
    IF EXISTS (SELECT FROM spaces WHERE role = 'code')
        AND EXISTS (SELECT FROM documents WHERE kind = 'code') THEN
        RAISE EXCEPTION 'Schema 3 has no space for code alone, and there are documents in one'
            USING HINT = 'Let one space hold everything first: `embedwell migrate --no-code`.';
    END IF;
END
$$;

CREATE OR REPLACE VIEW code_chunks AS
SELECT chunks.id, chunks.document, documents.key AS file_path, documents.language,
       chunks.title AS symbol, chunks.text AS content, chunks.start_line, chunks.end_line,
       main_vectors.vector AS embedding
FROM chunks
JOIN documents ON documents.id = chunks.document AND documents.kind = 'code'
LEFT JOIN main_vectors ON main_vectors.chunk = chunks.id;
DROP VIEW code_vectors;

-- What is empty, was begun by a migration to a pair, or left behind by one.
DO $$
DECLARE
    vectors text;
BEGIN
    FOR vectors IN SELECT format('vectors_%s', id) FROM spaces WHERE holds = 'code' LOOP
        EXECUTE format('DROP TABLE %I', vectors);
    END LOOP;
END
$$;
DELETE FROM spaces WHERE holds = 'code';
ALTER TABLE spaces DROP COLUMN holds;
