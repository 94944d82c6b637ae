"""The workflow of `examples/ledger` on LangGraph: nodes that write to a ledger outside the database.

Reads one request a line, as JSON, and does each in a process of its own, forked so that the imports are paid once:

    {"folder": "...", "steps": 5, "kill": "put:3" | null, "delay": 0.08 | null, "resume": false, "kill_after": 0.01 | null}

`kill` ends the process by SIGKILL: `effect` in the node when the line is on disk, `writes` before the node's writes are
handed to SQLite, `put` before the checkpoint of its step is, `after` when it is there; and of which step, from 1. `delay`
makes the saver's `put_writes` slower, as a busy disk or scheduler may. `kill_after` ends it from outside after so many seconds.
The answer is {"status": ..., "seconds": ...}; status is `killed` or what the process said.
"""

import json
import os
import signal
import sys
import threading
import time
from operator import add
from typing import Annotated, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

THREAD = {"configurable": {"thread_id": "run"}}


class State(TypedDict):
    done: Annotated[list, add]


class Saver(SqliteSaver):
    """SqliteSaver, which can be ended around its writes. Nothing else of it is changed."""

    place, nth, delay = None, 0, None

    def put_writes(self, config, writes, task_id, task_path=""):
        of_node = any(channel == "done" for channel, _ in writes)
        if of_node and self.delay:
            time.sleep(self.delay)
        if of_node and self.place == "writes" and len(self.ledger()) == self.nth:
            die()
        return super().put_writes(config, writes, task_id, task_path)

    def put(self, config, checkpoint, metadata, new_versions):
        # The checkpoint with step n in it is the one after the nth node.
        is_it = len(checkpoint["channel_values"].get("done", [])) == self.nth
        if is_it and self.place == "put":
            die()
        stored = super().put(config, checkpoint, metadata, new_versions)
        if is_it and self.place == "after":
            die()
        return stored

    def ledger(self):
        with open(self.ledger_path) as file:
            return file.readlines()


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def graph(request, saver):
    path = os.path.join(request["folder"], "ledger")

    def node(n):
        def work(state):
            # No key: LangGraph gives a node none.
            file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
            os.write(file, f"s{n} -\n".encode())
            os.fsync(file)
            os.close(file)
            if saver.place == "effect" and saver.nth == n:
                die()
            return {"done": [f"s{n}"]}

        return work

    builder = StateGraph(State)
    before = START
    for n in range(1, request["steps"] + 1):
        builder.add_node(f"s{n}", node(n))
        builder.add_edge(before, f"s{n}")
        before = f"s{n}"
    builder.add_edge(before, END)
    saver.ledger_path = path
    return builder.compile(checkpointer=saver)


def work(request):
    with Saver.from_conn_string(os.path.join(request["folder"], "runs.db")) as saver:
        # As Parkway, and SQLite's own default; said so that it does not hang on how Python's SQLite was built.
        saver.conn.execute("PRAGMA synchronous=FULL")
        if request.get("kill"):
            place, nth = request["kill"].split(":")
            saver.place, saver.nth = place, int(nth)
        saver.delay = request.get("delay")
        app = graph(request, saver)
        start = {"done": []}
        # A thread without a checkpoint has nothing to go on with, and begins again.
        if request.get("resume") and saver.get_tuple(THREAD):
            start = None
        state = app.invoke(start, THREAD, durability="sync")
        return {"status": "completed", "done": state["done"]}


def in_a_child(request):
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            answer = work(request)
        except BaseException as error:
            answer = {"status": f"error: {type(error).__name__}: {error}"}
        os.write(into, json.dumps(answer).encode())
        os._exit(0)
    os.close(into)
    started = time.monotonic()
    timer = None
    if request.get("kill_after") is not None:
        timer = threading.Timer(request["kill_after"], os.kill, (child, signal.SIGKILL))
        timer.start()
    with os.fdopen(out, "rb") as pipe:
        text = pipe.read()
    # The pipe is closed, and the process is not waited for yet: until then its number is its own.
    if timer:
        timer.cancel()
        timer.join()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    answer = {"status": "killed"} if killed else json.loads(text)
    return answer | {"seconds": time.monotonic() - started}


def main():
    for line in sys.stdin:
        print(json.dumps(in_a_child(json.loads(line))), flush=True)


main()
