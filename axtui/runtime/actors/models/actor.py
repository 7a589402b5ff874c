"""The models of a controller: its side of the process that asks the providers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from axtui.agent import ActorError, Retry, Tool, call
from axtui.programs import program
from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.local import LocalModels
from axtui.runtime.actors.models.providers import is_local, named_model
from axtui.runtime.actors.roster import Roster, ask
from axtui.runtime.actors.supervisor import Spec
from axtui.runtime.actors.wire import Fault
from axtui.runtime.config import Models as Settings
from axtui.runtime.errors import NoModel

# Providers are down for minutes, and a run is there for days.
RETRY = Retry(attempts=8, delay=1.0, max_delay=60.0, total=1800.0)
TIMEOUT = 600.0
# The process bounds the call by itself; if it doesn't, it hangs.
_PATIENCE = 30.0


class Models:
    """What `Context.model` and `Chat` ask."""

    def __init__(self, roster: Roster, settings: Settings) -> None:
        command = program("axtui.runtime.actors.models")
        # The keys are in the environment, whatever their names.
        spec = Spec("models", "models", command, asdict(settings), os.environ)
        self._settings = settings
        self._actor = roster.add(spec)
        self._local = LocalModels(roster)
        self._warming: asyncio.Task[None] | None = None

    def check(self, model: str) -> None:
        """Raise NoModel, saying what would do, if a model can't be asked."""
        try:
            named_model(model, os.environ, self._settings)
        except ModelFault as fault:
            raise NoModel(str(fault)) from None

    def warm(self) -> None:
        """Have the process started by the time that somebody asks."""
        if self._warming is None and self._actor.state == "stopped":
            self._warming = asyncio.create_task(self._start(), name="warm models")

    def tool(self, model: str) -> Tool:
        """A model as what a step calls. A call is repeated if nobody knows how it ended: it does
        nothing but cost."""
        complete = partial(self._complete, model)
        return Tool(model, complete, effect="idempotent", retry=RETRY)

    async def _complete(
        self, model: str, /, prompt: str = "", timeout: float | None = None, **request: Any
    ) -> Any:
        if prompt:
            request["messages"] = [{"role": "user", "content": [{"text": prompt}]}]
        seconds = timeout or TIMEOUT
        try:
            name = named_model(model, os.environ, self._settings)
        except ModelFault as fault:
            raise ActorError(fault.code, str(fault)) from None
        asked = {**request, "model": name, "timeout": seconds}
        try:
            async with self._served(name) as served:
                asked["served"] = served
                return await self._asked(asked, seconds)
        except ModelFault as fault:
            raise ActorError(fault.code, str(fault)) from None

    async def _asked(self, request: Any, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds + _PATIENCE):
                return await ask(self._actor, "complete", request, _shown(call().delta))
        except TimeoutError:
            await self._actor.stop("hung")
            raise ActorError("timeout", "the model process hung", retryable=True) from None

    @asynccontextmanager
    async def _served(self, name: str) -> AsyncIterator[dict[str, str] | None]:
        """Where a model of this machine is served within; None for one that is elsewhere."""
        if not is_local(name, self._settings):
            yield None
            return
        async with self._local.served(name.partition(":")[2]) as served:
            yield served

    async def _start(self) -> None:
        # Whoever asks a model then starts it again, and is told what is wrong.
        with suppress(Fault):
            async with self._actor.use():
                pass


def _shown(delta: Callable[..., None]) -> Callable[[Any], None]:
    return lambda progress: delta(progress["text"], progress["channel"])
