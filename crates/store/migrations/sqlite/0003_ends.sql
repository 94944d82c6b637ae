-- Two columns hold less than before, in rows that are written from now on:
--
-- * A body may lack its end, which says what its row says already: where `cut` is not NULL, it is the `v` of the event, and
--   `,"run":"RUN","seq":"SEQ","tenant":"TENANT","v":CUT}` belongs behind the body. The view below puts it there. What is hashed is
--   always the whole.
-- * A commitment may be its first 16 bytes, which are unique: the whole is the hash of the salt and the bytes.

ALTER TABLE parkway_event ADD COLUMN cut INTEGER;

-- The log of all runs, to be read: `body` is the event's canonical bytes as they were hashed.
CREATE VIEW parkway_log (leaf, run, seq, hash, body) AS
SELECT leaf, run.id, seq, hash, CASE
        WHEN cut IS NULL THEN body
        ELSE CAST(body || ',"run":"' || run.id || '","seq":"' || seq || '","tenant":"' || tenant || '","v":' || cut || '}' AS BLOB)
    END
FROM parkway_event AS event JOIN parkway_run AS run ON run.key = event.run;
