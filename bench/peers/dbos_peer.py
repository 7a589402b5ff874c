"""What a durable step costs in DBOS, on SQLite. Its name is not dbos.py: that would hide dbos."""

import sqlite3
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig
from meter import WARM_UP_STEPS, Job, Meter, check_results, parse_job


@DBOS.step()
def step(number: int) -> int:
    return number


@DBOS.workflow()
def run(steps: int) -> int:
    last = 0
    for number in range(1, steps + 1):
        last = step(number)
    return last


def set_full_sync(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=FULL")


def create_wal_database(path: Path) -> None:
    # The mode stays in the file; DBOS has no setting for it and would leave the rollback journal.
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def launch(database: Path) -> None:
    create_wal_database(database)
    # On every engine, rather than an engine of ours: DBOS prepares only the ones it makes itself.
    sa.event.listen(sa.Engine, "connect", set_full_sync)
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{database}",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()


def take_runs(runs: int, steps: int) -> list[int]:
    handles = [DBOS.start_workflow(run, steps) for _ in range(runs)]
    return [handle.get_result() for handle in handles]


def durability(database: Path) -> str:
    connection = sqlite3.connect(database)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    return f"SQLite journal_mode={mode} synchronous=FULL (DBOS's default: delete, FULL)"


def measure(job: Job, database: Path) -> None:
    launch(database)
    try:
        take_runs(job.runs, WARM_UP_STEPS)
        with Meter(job) as meter:
            results = take_runs(job.runs, job.steps)
        check_results(job, results)
        meter.print_result("dbos", version("dbos"), durability(database))
    finally:
        DBOS.destroy()


def main() -> None:
    job = parse_job()
    with tempfile.TemporaryDirectory(dir=job.folder, ignore_cleanup_errors=True) as scratch:
        measure(job, Path(scratch) / "dbos.sqlite")


if __name__ == "__main__":
    main()
