-- The log: entries as they are hashed, and the hashes of their tree that are final (SPEC 14).

CREATE TABLE log_entries (
    number BIGINT PRIMARY KEY,
    -- what happened, and the commission or batch that it is about
    what TEXT NOT NULL,
    about TEXT,
    entry BYTEA NOT NULL
);
CREATE INDEX log_about ON log_entries (about, what);

CREATE TABLE log_hashes (
    place BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL
);

-- What an auditor needs to read it: the manifest and its signatures as files, and the newest signed checkpoint.
ALTER TABLE project ADD COLUMN terms BYTEA;
ALTER TABLE project ADD COLUMN signatures BYTEA;
ALTER TABLE project ADD COLUMN checkpoint TEXT;
ALTER TABLE project ADD COLUMN checkpoint_size BIGINT NOT NULL DEFAULT 0;
