-- What ended by its term, and whether it is gone; what tells that by order rather than by clocks; when the database's files were
-- last freed of deleted rows.

-- the newest entry `expired`, and its transaction (PostgreSQL's number)
ALTER TABLE project ADD COLUMN ended BIGINT;
ALTER TABLE project ADD COLUMN ended_tx BIGINT;
-- the last of these entries of which the log says that nothing is left
ALTER TABLE project ADD COLUMN gone BIGINT;
ALTER TABLE project ADD COLUMN compacted_at BIGINT NOT NULL DEFAULT 0;
-- its entry `approved`, and its transaction
ALTER TABLE acts ADD COLUMN approved BIGINT;
ALTER TABLE acts ADD COLUMN approved_tx BIGINT;
-- entries of the log whose erasures this worker has followed
ALTER TABLE workers ADD COLUMN followed BIGINT NOT NULL DEFAULT 0;
-- What has ended and is dealt with is not looked at again: 1 its encodings are forgotten, 2 its answers, 3 all but its id.
ALTER TABLE commissions ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;
CREATE INDEX commissions_to_end ON commissions (ended, expires_at);
-- counted without reading their rows
CREATE INDEX commissions_asked ON commissions (office, filed_at, subjects);
CREATE INDEX commissions_by_state ON commissions (state);
