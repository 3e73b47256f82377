-- Jobs that are not done, in order: those that are done stay, and whoever looks for work must not go over them.
CREATE INDEX jobs_open ON jobs (kind, place) WHERE state IN ('waiting', 'running');
