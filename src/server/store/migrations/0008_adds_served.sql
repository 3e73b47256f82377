-- When a server first answered parties for an epoch that was opened from this one: from then on this one's term runs.
ALTER TABLE epochs ADD COLUMN served_at BIGINT;
