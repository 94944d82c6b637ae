-- What a later memory takes from an earlier one is no longer kept with the earlier one: several may take something from it, each as long as it
-- holds itself. It follows from what the later one names, and from subjects and texts.
--
-- * A row of parkway_memory_supersession is one that an event names, as one of parkway_memory_contradiction is.

CREATE TABLE parkway_memory_supersession (
    memory INTEGER NOT NULL REFERENCES parkway_memory (key),
    other  INTEGER NOT NULL REFERENCES parkway_memory (key),
    PRIMARY KEY (memory, other)
);

CREATE INDEX parkway_memory_superseded ON parkway_memory_supersession (other);

INSERT INTO parkway_memory_supersession (memory, other)
SELECT DISTINCT memory.key, other.key
FROM parkway_memory AS memory
    JOIN parkway_run AS run ON run.key = memory.run
    JOIN parkway_log AS log ON log.run = run.id AND log.seq = memory.seq
    JOIN json_each(CAST(log.body AS TEXT), '$.kind.supersedes') AS named
    JOIN parkway_memory AS other ON other.id = unhex(named.value) AND other.key < memory.key;

CREATE INDEX parkway_memory_subject ON parkway_memory (namespace, subject, key) WHERE subject IS NOT NULL;

ALTER TABLE parkway_memory DROP COLUMN superseded_by;
ALTER TABLE parkway_memory DROP COLUMN superseded_at;
ALTER TABLE parkway_memory DROP COLUMN superseded_from;
