"""Several who open a conversation of one log at the same time."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading

from .drafts import everything, note, write


async def test_what_was_read_while_another_wrote_is_not_written_behind(sqlite, monkeypatch):
    """The first writes and lets go of it before the second, who has read the log, can go on."""
    log = sqlite.write()
    other = await log.conversation("other", create=True)

    async def let_go() -> None:
        # The thread that writes holds what it wrote last.
        await other.append(note())
        gc.collect()

    await write(log, "c", note("before"))
    await let_go()
    load, written, loads = log._reader.load, threading.Event(), itertools.count(1)

    def slow(*args):
        loaded = load(*args)
        if next(loads) == 2:
            written.wait(10)
        return loaded

    monkeypatch.setattr(log._reader, "load", slow)
    opening = [asyncio.create_task(log.conversation("c")) for _ in range(2)]
    first = await opening.pop(0)
    await first.append(note("first"))
    del first
    await let_go()
    written.set()
    await (await opening.pop()).append(note("second"))
    said = [record.event().note.text for record in await everything(log, "c")]
    assert said == ["before", "first", "second"]
