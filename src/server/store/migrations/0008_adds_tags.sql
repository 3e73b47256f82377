-- When a server first answered parties for an epoch that was opened from this one: from then on this one's term runs.
ALTER TABLE epochs ADD COLUMN served_at BIGINT;
-- Stands in the names of a batch's parts, if it is not of before: one that is begun anew after it was erased has another.
ALTER TABLE batches ADD COLUMN tag TEXT;
ALTER TABLE removals ADD COLUMN tag TEXT;
