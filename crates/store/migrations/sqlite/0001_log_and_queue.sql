-- Times are microseconds since 1970 in UTC; a NULL owner means that nobody holds the run.
CREATE TABLE parkway_run (
    key         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    tenant      TEXT    NOT NULL,
    workflow    TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    head        INTEGER NOT NULL,
    owner       TEXT,
    fence       INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    wake        INTEGER,
    last_commit TEXT
);

CREATE INDEX parkway_run_created ON parkway_run (created);
CREATE INDEX parkway_run_open ON parkway_run (created) WHERE status IN ('pending', 'running', 'waiting');

-- The body is the event's canonical bytes, never written again; the leaf is its number over all runs, in commit order.
CREATE TABLE parkway_event (
    leaf INTEGER PRIMARY KEY AUTOINCREMENT,
    run  INTEGER NOT NULL REFERENCES parkway_run (key),
    seq  INTEGER NOT NULL,
    body BLOB    NOT NULL,
    UNIQUE (run, seq)
);

CREATE TABLE parkway_payload (
    commitment BLOB    NOT NULL PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES parkway_run (key),
    salt       BLOB    NOT NULL,
    codec      TEXT    NOT NULL,
    key_id     TEXT,
    bytes      BLOB    NOT NULL
);

-- Numbers of messages are never used again, so that a message cannot be mistaken for a later one.
CREATE TABLE parkway_message (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    run  INTEGER NOT NULL REFERENCES parkway_run (key),
    at   INTEGER NOT NULL,
    body TEXT    NOT NULL
);

CREATE INDEX parkway_message_run ON parkway_message (run);
