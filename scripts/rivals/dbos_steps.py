"""Steps that do nothing and return 100 bytes, on DBOS with its SQLite system database: RUNS STEPS DATABASE JOURNAL.

JOURNAL `as-shipped` leaves the database as DBOS makes it, with a rollback journal; `wal` makes it in WAL mode before.
"""

import json
import resource
import sqlite3
import sys
import time

from dbos import DBOS
from sqlalchemy import text


@DBOS.step()
def noop(i):
    return "x" * 100


@DBOS.workflow()
def chain(steps):
    for i in range(steps):
        noop(i)
    return steps


def main():
    runs, steps, path, journal = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    if journal == "wal":
        # A property of the file, which stays.
        sqlite3.connect(path).execute("PRAGMA journal_mode=WAL")
    dbos = DBOS(config={"name": "rivals", "system_database_url": f"sqlite:///{path}", "log_level": "ERROR"})
    DBOS.launch()
    started = time.perf_counter()
    handles = [DBOS.start_workflow(chain, steps) for _ in range(runs)]
    for handle in handles:
        assert handle.get_result() == steps
    seconds = time.perf_counter() - started
    with dbos._sys_db.engine.connect() as connection:
        read = lambda name: connection.execute(text(f"PRAGMA {name}")).scalar()  # noqa: E731
        mode, level = read("journal_mode").upper(), ["OFF", "NORMAL", "FULL", "EXTRA"][read("synchronous")]
    DBOS.destroy()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"steps": runs * steps, "seconds": seconds, "peak_kib": peak, "durability": f"{mode}, {level}"}))


main()
