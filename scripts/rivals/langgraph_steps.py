"""Steps that do nothing and return 100 bytes, on LangGraph with its SQLite saver: RUNS STEPS DATABASE DURABILITY.

One node in a loop, since a checkpoint holds a version of each node's channels and grows with their number; the state has
one value of 100 bytes, since a checkpoint holds all of it. Both are in LangGraph's favour.
"""

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    n: int
    data: str


def main():
    runs, steps, path, durability = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    builder = StateGraph(State)
    builder.add_node("noop", lambda state: {"n": state["n"] + 1, "data": "x" * 100})
    builder.add_edge(START, "noop")
    builder.add_conditional_edges("noop", lambda state: "noop" if state["n"] < steps else END, ["noop", END])
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        saver.conn.execute("PRAGMA synchronous=FULL")
        graph = builder.compile(checkpointer=saver)

        def run(i):
            config = {"configurable": {"thread_id": str(i)}, "recursion_limit": steps + 10}
            state = graph.invoke({"n": 0, "data": ""}, config, durability=durability)
            assert state["n"] == steps, state["n"]

        started = time.perf_counter()
        if runs == 1:
            run(0)
        else:
            with ThreadPoolExecutor(runs) as pool:
                list(pool.map(run, range(runs)))
        seconds = time.perf_counter() - started
        journal = saver.conn.execute("PRAGMA journal_mode").fetchone()[0].upper()
        level = ["OFF", "NORMAL", "FULL", "EXTRA"][saver.conn.execute("PRAGMA synchronous").fetchone()[0]]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = {"steps": runs * steps, "seconds": seconds, "peak_kib": peak, "durability": f"{journal}, {level}"}
    print(json.dumps(answer))


main()
