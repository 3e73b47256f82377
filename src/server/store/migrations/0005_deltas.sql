-- Deltas: the batch that one continues.
ALTER TABLE batches ADD COLUMN base TEXT;
