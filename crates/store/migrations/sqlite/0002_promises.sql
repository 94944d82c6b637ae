-- What must hold between the tables, and can be checked in them:
--
-- * The leaves of parkway_event are 1, 2, 3 … without a gap, in the order of commits. `hash` begins with the leaf's hash, SHA-256 of
--   a zero byte and the body; behind it stand the interior nodes of the tree of RFC 6962 that this leaf completes, lowest first.
--   Leaf n completes as many as n - 1 has one bits at its end; node i of level k (both from 0) is bytes 32k to 32k + 31 of the
--   `hash` of leaf (i + 1) * 2^k.
-- * The events of a run are 1 to its `head` without a gap; the run, the place and the tenant in a body are those of its row.
-- * A commitment in an event has a row in parkway_payload, unless that was erased. The row has either `bytes` or a `blob`, and the
--   commitment is the hash of its salt and those. The first 16 bytes of commitments are unique.
-- * A row of parkway_blob is named by as many payloads as `uses` says, at least 1, all of them of runs of its tenant; `mac` is
--   HMAC-SHA256 of its bytes under the tenant's `secret`. Deleting a payload counts down, and deletes the blob with the last one.
-- * A snapshot's `seq` is not above its run's `head`. Deleting it loses time, and nothing else.

ALTER TABLE parkway_event RENAME TO parkway_event_1;
ALTER TABLE parkway_payload RENAME TO parkway_payload_1;

-- The run that this one is a part of, by its id.
ALTER TABLE parkway_run ADD COLUMN parent TEXT;

-- The body is the event's canonical bytes, never written again.
CREATE TABLE parkway_event (
    leaf INTEGER PRIMARY KEY,
    run  INTEGER NOT NULL REFERENCES parkway_run (key),
    seq  INTEGER NOT NULL,
    hash BLOB    NOT NULL,
    body BLOB    NOT NULL,
    UNIQUE (run, seq)
);

CREATE TABLE parkway_tenant (
    key    INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    secret BLOB NOT NULL
);

CREATE TABLE parkway_blob (
    key    INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES parkway_tenant (key),
    mac    BLOB    NOT NULL UNIQUE,
    uses   INTEGER NOT NULL CHECK (uses > 0),
    bytes  BLOB    NOT NULL
);

CREATE TABLE parkway_payload (
    key        INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES parkway_run (key),
    commitment BLOB    NOT NULL,
    salt       BLOB    NOT NULL,
    codec      TEXT    NOT NULL,
    key_id     TEXT,
    bytes      BLOB,
    blob       INTEGER,
    CHECK ((bytes IS NULL) = (blob IS NOT NULL))
);

-- Commitments come in no order, so that each of them costs a page of this index: half of one is enough to find it.
CREATE UNIQUE INDEX parkway_payload_commitment ON parkway_payload (substr(commitment, 1, 16));

CREATE TRIGGER parkway_payload_erased AFTER DELETE ON parkway_payload WHEN old.blob IS NOT NULL BEGIN
    DELETE FROM parkway_blob WHERE key = old.blob AND uses = 1;
    UPDATE parkway_blob SET uses = uses - 1 WHERE key = old.blob;
END;

-- Numbers of entries are never used again, so that the other side can tell a repetition.
CREATE TABLE parkway_outbox (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    run   INTEGER NOT NULL REFERENCES parkway_run (key),
    at    INTEGER NOT NULL,
    topic TEXT    NOT NULL,
    body  TEXT    NOT NULL
);

CREATE TABLE parkway_snapshot (
    run    INTEGER PRIMARY KEY REFERENCES parkway_run (key),
    seq    INTEGER NOT NULL,
    engine TEXT    NOT NULL,
    bytes  BLOB    NOT NULL
);
