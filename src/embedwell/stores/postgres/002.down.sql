-- Back to the baseline: drops what 002.sql made, and the tables of vectors that came with spaces.
-- Run in one transaction, in which plain names mean our schema only.

DROP VIEW parsed_files, code_chunks, document_chunks, main_vectors;

DO $$
DECLARE
    vectors text;
BEGIN
    FOR vectors IN SELECT format('vectors_%s', id) FROM spaces LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', vectors);
    END LOOP;
END
$$;

DROP TABLE ingestion_metrics, files_queue, space_history, admissions, proofs, lexical, chunks,
    document_metadata, documents, spaces, collections;
DROP TEXT SEARCH CONFIGURATION words;
DROP TEXT SEARCH DICTIONARY stems;
