"""Ctrl+C, SIGTERM, a terminal that is closed: first a request to pause, and soon after the end,
whatever hangs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
from types import FrameType
from typing import Any

from axtui.cli.control import resume_command
from axtui.cli.output import say

# The promise is two seconds; a run that is paused takes up to 1.3 of them.
_LIMIT_SECONDS = 1.6


class Interrupt:
    """While entered, signals to end set `signal` and wake `wait`."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._woken = asyncio.Event()
        self._before: dict[int, Any] = {}
        self.signal = 0
        self.conversation_id = ""

    def __enter__(self) -> Interrupt:
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` has the end of the terminal ignored.
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def wait(self) -> None:
        """Return once a signal has come."""
        await self._woken.wait()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # Not the loop's own signal handling: an agent that hangs in the loop would hang that too.
        if self.signal:
            return
        self.signal = number
        timer = threading.Timer(_LIMIT_SECONDS, self._give_up)
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self._woken.set)

    def _give_up(self) -> None:
        """Leave without a word to the log: whatever was acknowledged is in it."""
        if self.conversation_id and self._args.output != "json":
            say("axtui: something hangs; the run goes on with")
            say(f"  {resume_command(self._args, self.conversation_id)}")
        os._exit(128 + self.signal)
