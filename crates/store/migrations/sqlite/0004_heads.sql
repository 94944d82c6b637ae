-- What is signed of the log:
--
-- * `parkway_log_id` has one row: a name that no other log has. A copy of the file is the same log.
-- * A row of parkway_head is a signed head (C2SP tlog-checkpoint): `root` is the root of the tree over the first `size` events. Deleting
--   one takes away evidence, and breaks nothing.

CREATE TABLE parkway_log_id (
    id TEXT NOT NULL
);

INSERT INTO parkway_log_id VALUES (lower(hex(randomblob(16))));

CREATE TABLE parkway_head (
    size INTEGER PRIMARY KEY CHECK (size > 0),
    root BLOB    NOT NULL,
    note TEXT    NOT NULL
);
