-- What operators do, two of them together; what is kept for how long; keys whose loss erases.

CREATE TABLE acts (
    -- the number of its entry in the log
    act BIGINT PRIMARY KEY,
    deed TEXT NOT NULL,
    state TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at BIGINT NOT NULL,
    approved_by TEXT,
    approved_at BIGINT,
    done_at BIGINT,
    -- of a new epoch
    terms BYTEA,
    signatures BYTEA,
    -- what erasing took away
    batches BIGINT NOT NULL DEFAULT 0,
    commissions BIGINT NOT NULL DEFAULT 0,
    answers BIGINT NOT NULL DEFAULT 0
);

-- Files that are still to be removed: their batch is in no other table any more, or needs them no longer.
CREATE TABLE removals (
    batch TEXT PRIMARY KEY,
    parts BIGINT NOT NULL,
    -- the act that wants it; none where a term has ended
    act BIGINT
);

-- The epochs that came after this one.
CREATE TABLE epochs (
    manifest TEXT PRIMARY KEY,
    terms BYTEA NOT NULL,
    signatures BYTEA NOT NULL,
    opened_at BIGINT NOT NULL
);

-- Workers on this database: when each was last seen, and when it last looked for what was erased.
CREATE TABLE workers (
    holder TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    tidied_at BIGINT NOT NULL
);

ALTER TABLE project ADD COLUMN retention TEXT;
ALTER TABLE project ADD COLUMN erased_at BIGINT;
-- when the last of the backups that were taken ends
ALTER TABLE project ADD COLUMN backups_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN shred_key BYTEA;
-- 0: its parts were stored before there were keys, and are still to be sealed
ALTER TABLE batches ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE commissions ADD COLUMN shred_key BYTEA;
-- when it was replaced or refused
ALTER TABLE batches ADD COLUMN ended_at BIGINT;
CREATE INDEX commissions_ending ON commissions (expires_at);
