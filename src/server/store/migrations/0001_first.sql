-- Types that SQLite and PostgreSQL both take: TEXT (ids in hexadecimal), BIGINT (numbers, seconds since 1970), BYTEA.

CREATE TABLE batches (
    batch TEXT PRIMARY KEY,
    agency TEXT NOT NULL,
    header BYTEA NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    created_at BIGINT NOT NULL,
    committed_at BIGINT,
    -- order of commits: a later one takes the place of an earlier one, never the other way round
    place BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX batches_of_agency ON batches (agency, state);
CREATE INDEX batches_in_order ON batches (place);

CREATE TABLE parts (
    batch TEXT NOT NULL REFERENCES batches (batch),
    number BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    PRIMARY KEY (batch, number)
);

CREATE TABLE commissions (
    commission TEXT PRIMARY KEY,
    office TEXT NOT NULL,
    ticket BYTEA NOT NULL,
    ticket_signature TEXT NOT NULL,
    -- forgotten once they are matched
    encodings BYTEA NOT NULL,
    state TEXT NOT NULL,
    filed_at BIGINT NOT NULL,
    withdrawal BYTEA
);

-- Which set of an agency a commission was matched against; none where the agency had submitted nothing.
CREATE TABLE matched_against (
    commission TEXT NOT NULL REFERENCES commissions (commission),
    agency TEXT NOT NULL,
    batch TEXT,
    PRIMARY KEY (commission, agency)
);

CREATE TABLE matches (
    commission TEXT NOT NULL REFERENCES commissions (commission),
    subject TEXT NOT NULL,
    agency TEXT NOT NULL,
    record TEXT NOT NULL,
    place BIGINT NOT NULL,
    band TEXT NOT NULL,
    release TEXT NOT NULL,
    -- when the ticket covers the subject no more
    until BIGINT NOT NULL,
    slot BYTEA NOT NULL,
    PRIMARY KEY (commission, subject, agency, record)
);
CREATE INDEX matches_to_answer ON matches (agency, release);

CREATE TABLE jobs (
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- order of queuing
    place BIGINT NOT NULL,
    PRIMARY KEY (kind, target)
);
CREATE INDEX jobs_waiting ON jobs (kind, state, place);
CREATE INDEX jobs_in_order ON jobs (place);
