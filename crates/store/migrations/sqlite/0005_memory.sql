-- What agents remember. All of it but the vectors is a fold of the log, and what must hold can be checked:
--
-- * A row of parkway_memory is a memory_written event: `run` and `seq` are its place, `content` the first 16 bytes of its commitment. What it
--   says is that payload, and stands in `namespace`, `subject`, `digest` and parkway_memory_text as well, so that it is found.
-- * `superseded_by`, `superseded_at` and `superseded_from` are of the first later event that names it as superseded; `forgotten` is the time of
--   the event that it was forgotten by. A forgotten one has no namespace, subject, digest, text or vector, and no payload.
-- * A row of parkway_memory_contradiction is one that an event names, in the order in which it does.
-- * parkway_memory_text has a row for each memory that is not forgotten: `context` is the text of the episodic memory of its namespace
--   before it, where it is episodic itself.
-- * parkway_memory_vector is a cache: it can be deleted, and made again. All vectors of a model have one length. A row is never changed: one
--   that takes another's place has a greater key, so that who has read some knows which are new.

CREATE TABLE parkway_memory (
    key             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE,
    run             INTEGER NOT NULL REFERENCES parkway_run (key),
    seq             INTEGER NOT NULL,
    content         BLOB    NOT NULL,
    namespace       TEXT,
    subject         TEXT,
    digest          BLOB,
    kind            TEXT    NOT NULL,
    untrusted       INTEGER NOT NULL,
    secret          INTEGER NOT NULL,
    pinned          INTEGER NOT NULL,
    known           INTEGER NOT NULL,
    valid_from      INTEGER NOT NULL,
    valid_until     INTEGER,
    expires         INTEGER,
    superseded_by   BLOB,
    superseded_at   INTEGER,
    superseded_from INTEGER,
    forgotten       INTEGER,
    UNIQUE (run, seq)
);

CREATE INDEX parkway_memory_namespace ON parkway_memory (namespace, key) WHERE namespace IS NOT NULL;
CREATE INDEX parkway_memory_digest ON parkway_memory (digest) WHERE digest IS NOT NULL;
CREATE INDEX parkway_memory_pinned ON parkway_memory (namespace) WHERE pinned AND namespace IS NOT NULL;

CREATE TABLE parkway_memory_contradiction (
    memory INTEGER NOT NULL REFERENCES parkway_memory (key),
    other  INTEGER NOT NULL REFERENCES parkway_memory (key),
    PRIMARY KEY (memory, other)
);

CREATE INDEX parkway_memory_contradicted ON parkway_memory_contradiction (other);

-- `scope` is one word that stands for the namespace, so that a search reads nothing of the others.
CREATE VIRTUAL TABLE parkway_memory_text USING fts5 (
    scope, text, context, tokenize = 'porter unicode61 remove_diacritics 2'
);

INSERT INTO parkway_memory_text (parkway_memory_text, rank) VALUES ('secure-delete', 1);

CREATE TABLE parkway_memory_vector (
    key    INTEGER PRIMARY KEY AUTOINCREMENT,
    memory INTEGER NOT NULL REFERENCES parkway_memory (key),
    model  TEXT    NOT NULL,
    vector BLOB    NOT NULL,
    UNIQUE (model, memory)
);

CREATE INDEX parkway_memory_vector_memory ON parkway_memory_vector (memory);
