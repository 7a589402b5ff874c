"""Counts the words of many files at a time, and writes a report once somebody agrees.

    axtui exec --agent word_counts --input '*.txt'

Each file is a step: killed and resumed, the agent reads only those that it hadn't finished. A file
that can't be read is tried again, then named in the report instead of ending the run.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from axtui.agent import Context, Retry, StepFailed, ToolError, agent, call

RETRY = Retry(attempts=3, delay=0.1)


def find(pattern: str) -> list[str]:
    folder = Path(call().workspace)
    return sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))


def count(name: str) -> dict[str, int]:
    try:
        words = Path(call().workspace, name).read_text(errors="replace").lower().split()
    except OSError as error:
        raise ToolError(error.strerror or str(error)) from None
    return dict(Counter(words).most_common(1000))


def write(name: str, report: str) -> None:
    Path(call().workspace, name).write_text(report)


@agent
async def word_counts(ctx: Context) -> str:
    """Counts the words of the files that its input names, such as *.txt."""
    config: dict[str, Any] = ctx.config or {}
    names = await ctx.step(find, ctx.input, effect="readonly")
    await ctx.emit(f"{len(names)} files to read")
    outcomes = await asyncio.gather(
        *(ctx.step(count, name, effect="readonly", retry=RETRY) for name in names),
        return_exceptions=True,
    )
    total: Counter[str] = Counter()
    lines = []
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, StepFailed):
            lines.append(f"{name}: {outcome.message}")
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            total.update(outcome)
            lines.append(f"{name}: {sum(outcome.values())} words")
    lines += [f"{number:>6} {word}" for word, number in total.most_common(config.get("top", 5))]
    report = config.get("report", "report.md")
    await ctx.emit("\n".join(lines))
    if not await ctx.approve(f"Write {report}?", detail=lines):
        return "Nothing was written."
    await ctx.step(write, report, "\n".join([*lines, ""]), effect="idempotent")
    return f"{report} has {len(lines)} lines."
