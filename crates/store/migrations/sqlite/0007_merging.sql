-- The index of texts puts two parts of it together as soon as they are of one size, and not four only: a question reads every part that there is.

INSERT INTO parkway_memory_text (parkway_memory_text, rank) VALUES ('automerge', 2);
