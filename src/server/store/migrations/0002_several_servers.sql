-- Several servers share a database: whose a running job is, and the manifest that all of them run.
ALTER TABLE jobs ADD COLUMN holder TEXT;

CREATE TABLE project (
    manifest TEXT NOT NULL
);
