"""The models of this machine: the controller's side of the processes that run them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axtui.agent import ActorError
from axtui.programs import program
from axtui.runtime.actors.models.weights import weights
from axtui.runtime.actors.roster import Roster, ask
from axtui.runtime.actors.supervisor import Actor, Spec
from axtui.runtime.actors.wire import Fault

# Of different models, in the life of a controller. Those that nobody asks any more are stopped.
MAX_MODELS = 8
# How long a model may take to be loaded, which is no part of what a call may take.
LOAD_SECONDS = 600.0
# What says where the library is, and what it may run on. It has no business with keys.
_VARIABLES = ("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


class LocalModels:
    """One process for each model that is asked."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._actors: dict[str, Actor] = {}

    @asynccontextmanager
    async def served(self, name: str) -> AsyncIterator[dict[str, str]]:
        """Where the model of that name is served within: `base_url` and `key`. The first time takes
        as long as loading it does. Raises ActorError, and ModelFault where there is no such model.
        """
        actor = self._actor(name, weights(name))
        try:
            async with actor.use():
                yield await _opened(actor)
        except Fault as fault:
            raise ActorError(fault.code, str(fault), retryable=fault.code == "gone") from None

    def _actor(self, name: str, path: str) -> Actor:
        if path not in self._actors:
            if len(self._actors) == MAX_MODELS:
                raise ActorError("invalid", f"local: no more than {MAX_MODELS} models can be asked")
            command = program("axtui.runtime.actors.models.llama")
            env = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
            hello = {"path": path, "name": name}
            spec = Spec(f"model {name}", "models", command, hello, env)
            self._actors[path] = self._roster.add(spec)
        return self._actors[path]


async def _opened(actor: Actor) -> Any:
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            return await ask(actor, "open", None)
    except TimeoutError:
        await actor.stop("it took too long to load")
        why = f"{actor.spec.id} wasn't loaded within {LOAD_SECONDS:g} s"
        raise ActorError("timeout", why, retryable=True) from None
