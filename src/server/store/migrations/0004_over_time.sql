-- Commissions over time: large ones whose encodings come in parts, standing ones that are matched again, agencies that are late.

ALTER TABLE commissions ADD COLUMN subjects BIGINT NOT NULL DEFAULT 0;
ALTER TABLE commissions ADD COLUMN standing BIGINT NOT NULL DEFAULT 0;
ALTER TABLE commissions ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
-- grows whenever there is something new to fetch
ALTER TABLE commissions ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX commissions_of_office ON commissions (office, filed_at);
CREATE INDEX commissions_standing ON commissions (standing, expires_at);

-- Since when an agency is asked.
ALTER TABLE matches ADD COLUMN asked_at BIGINT NOT NULL DEFAULT 0;

-- Encodings of large commissions; forgotten once they are matched, unless the commission stands.
CREATE TABLE encodings (
    commission TEXT NOT NULL REFERENCES commissions (commission),
    part BIGINT NOT NULL,
    encodings BYTEA NOT NULL,
    PRIMARY KEY (commission, part)
);
CREATE INDEX matched_against_agency ON matched_against (agency);
