-- Schema 4: which kinds of documents a space holds, so that text and code may have one each.
-- A role `code` is new: searched and written beside the main space.

ALTER TABLE spaces ADD COLUMN holds TEXT NOT NULL DEFAULT 'text,code';  -- text; code; or both
