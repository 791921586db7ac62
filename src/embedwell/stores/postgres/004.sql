-- Schema 4: which kinds of documents a space holds, so that text and code may have one each, as in
-- SQLite's schema 4. A role `code` is new: searched and written beside the main space. Run in one
-- transaction, in which plain names mean our schema and the types of the extension.

ALTER TABLE spaces ADD COLUMN holds text NOT NULL DEFAULT 'text,code';  -- text; code; or both

-- The vectors by which code is searched: those of the code space, where there is one. Replaced like
-- `main_vectors`.
CREATE VIEW code_vectors AS SELECT chunk, vector FROM main_vectors;

CREATE OR REPLACE VIEW code_chunks AS
SELECT chunks.id, chunks.document, documents.key AS file_path, documents.language,
       chunks.title AS symbol, chunks.text AS content, chunks.start_line, chunks.end_line,
       code_vectors.vector AS embedding
FROM chunks
JOIN documents ON documents.id = chunks.document AND documents.kind = 'code'
LEFT JOIN code_vectors ON code_vectors.chunk = chunks.id;
