-- What ended by its term, and whether it is gone; when the database's files were last freed of deleted rows.

-- the newest entry `expired`, and its moment
ALTER TABLE project ADD COLUMN ended BIGINT;
ALTER TABLE project ADD COLUMN ended_at BIGINT;
-- the last of these entries of which the log says that nothing is left
ALTER TABLE project ADD COLUMN gone BIGINT;
ALTER TABLE project ADD COLUMN compacted_at BIGINT NOT NULL DEFAULT 0;
