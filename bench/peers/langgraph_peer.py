"""What a durable step costs in LangGraph, on SQLite: a graph whose one node loops."""

import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from meter import WARM_UP_STEPS, Job, Meter, check_results, parse_job


class State(TypedDict):
    done: int


def step(state: State) -> State:
    return {"done": state["done"] + 1}


def build_graph(saver: SqliteSaver, steps: int) -> Any:
    # Not tasks of the functional API: they go on before the result of the last one is written.
    def after_step(state: State) -> str:
        return END if state["done"] >= steps else "step"

    builder = StateGraph(State)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", after_step, ["step", END])
    return builder.compile(checkpointer=saver)


def take_runs(saver: SqliteSaver, label: str, runs: int, steps: int) -> list[int]:
    graph = build_graph(saver, steps)

    def take_run(number: int) -> int:
        thread = f"{label}-{number}"
        config = {"configurable": {"thread_id": thread}, "recursion_limit": steps + 1}
        state = graph.invoke({"done": 0}, config, durability="sync")
        return int(state["done"])

    with ThreadPoolExecutor(runs) as pool:
        return list(pool.map(take_run, range(runs)))


def durability(connection: sqlite3.Connection) -> str:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    if (mode, synchronous) != ("wal", 2):
        raise SystemExit(f"not WAL and FULL but {mode}, {synchronous}")
    return 'durability="sync", SQLite journal_mode=wal synchronous=FULL'


def measure(job: Job, connection: sqlite3.Connection) -> None:
    # WAL is the saver's own choice; FULL is only the default of most builds of SQLite.
    connection.execute("PRAGMA synchronous=FULL")
    # The asynchronous saver does the same in twice the time, so this one speaks for LangGraph.
    saver = SqliteSaver(connection)
    take_runs(saver, "warm-up", job.runs, WARM_UP_STEPS)
    with Meter(job) as meter:
        results = take_runs(saver, "run", job.runs, job.steps)
    check_results(job, results)
    meter.print_result("langgraph", version("langgraph"), durability(connection))


def main() -> None:
    job = parse_job()
    with tempfile.TemporaryDirectory(dir=job.folder, ignore_cleanup_errors=True) as scratch:
        database = Path(scratch) / "langgraph.sqlite"
        with closing(sqlite3.connect(database, check_same_thread=False)) as connection:
            measure(job, connection)


if __name__ == "__main__":
    main()
