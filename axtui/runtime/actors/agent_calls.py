"""What an agent that runs elsewhere asks for, and what the controller makes of it.

What it asks for comes as a call, `ask`, with the fields of a `Request`, and the journal does the
rest, as for an agent of this process. To do a step that is the agent's own, it calls back: `step`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from axtui.agent import ONCE, Call, Request, Retry, Scope, StepFailed, ToolError, call
from axtui.model.codec import dump_json, load_json
from axtui.runtime.actors.wire import Fault, Peer, Progress
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.effects import NotKept

if TYPE_CHECKING:
    from axtui.runtime.journal import Journal

MAX_DELTA = 64 * 1024
MAX_CHANNEL = 32
_PATH = re.compile(r"(~[0-9]{1,9}/){0,100}")
_KEY = re.compile(_PATH.pattern + "[0-9]{1,9}")


@dataclass
class AgentCall:
    """A call of an agent that is under way elsewhere. `told` has who was told something since it
    was known to be quiet."""

    agent: AgentConfig
    journal: Journal
    scope: Scope
    peer: Peer
    told: set[Peer]
    _asked: set[str] = field(default_factory=set)
    # What its functions that are being run may ask for, by the key of the step.
    _steps: dict[str, Call] = field(default_factory=dict)

    @property
    def name(self) -> dict[str, Any]:
        """What tells it apart from all other calls of the run, earlier ones too."""
        return {"epoch": self.journal.epoch, "path": self.scope.path}

    async def ask(self, params: Any, progress: Progress) -> Any:
        """How something has ended that was to be done once."""
        request = self._request(params)
        if request.key in self._asked:
            raise Fault("key", f"{request.key} was asked for before")
        self._asked.add(request.key)
        if params["own"]:
            request.function = partial(self._step, request.key)
            # What it is called with is where the function is, so nobody can change that here.
            request.body = {}
        reply: dict[str, Any] = {}
        try:
            try:
                reply["value"] = dump_json(await _answer(self.journal, request))
            except StepFailed as failed:
                reply["failed"] = {"code": failed.code, "message": failed.message}
            # Whoever isn't in this process hears of nothing that isn't on disk.
            await self.journal.committed()
        finally:
            self.told.add(self.peer)
        return {**reply, "time_us": request.scope.time_us}

    async def elicit(self, params: Any, progress: Progress) -> Any:
        """What a person says to a step that is being done."""
        this, about = self._step_of(params), load_json(params["about"])
        return {"text": await this.ask(str(params["question"]), params["choices"], about)}

    async def command(self, params: Any, progress: Progress) -> Any:
        """Run a command for a step that is being done."""
        environment = self._step_of(params).environment
        try:
            return await environment.run(
                params["command"],
                workspace=params["workspace"],
                timeout=params.get("timeout"),
                on_output=lambda text: progress({"text": text}),
                variables=params["variables"],
                readable=params["readable"],
            )
        except ToolError as error:
            raise Fault("tool", str(error)) from None

    async def history(self, params: Any, progress: Progress) -> Any:
        """The last messages of earlier runs."""
        said = await self.journal.history(int(params["limit"]))
        return {"messages": [{"role": role, "text": text} for role, text in said]}

    async def listen(self, params: Any, progress: Progress) -> Any:
        """What people have said to the agent."""
        scope = self._scope(self._own(params["line"], _PATH))
        scope.place = int(params["ordinal"]), 0
        try:
            texts = await self.journal.told(scope)
            await self.journal.committed()
        finally:
            self.told.add(self.peer)
        return {"texts": texts, "time_us": scope.time_us}

    async def patched(self, params: Any, progress: Progress) -> None:
        """Record that a change of the agent's code holds."""
        scope = self._scope(self._own(params["line"], _PATH))
        scope.place = int(params["ordinal"]), int(params["branches"])
        self.journal.patched(scope, str(params["name"]))

    def _request(self, params: Any) -> Request:
        retry, body = params.get("retry"), params.get("body")
        return Request(
            self._own(params["key"], _KEY),
            params["type"],
            params["name"],
            params["arguments"],
            self._scope("", int(params["time_us"])),
            params["effect"],
            params.get("timeout"),
            ONCE if retry is None else Retry(**retry),
            by_model=params["by_model"],
            body=None if body is None else load_json(body),
        )

    def _scope(self, path: str, time_us: int = 0) -> Scope:
        return Scope(path, self.scope.actor, self.scope.exec_id, time_us or self.scope.time_us)

    def _own(self, place: str, shape: re.Pattern[str]) -> str:
        """A key or path that is one of the agent's own."""
        path = self.scope.path
        if not place.startswith(path) or not shape.fullmatch(place, len(path)):
            raise Fault("key", f"{place!r} is not a place in this call of the agent")
        return place

    async def _step(self, key: str) -> Any:
        this = self._steps[key] = call()
        params = {
            **self.name,
            "key": key,
            "idempotency_key": this.idempotency_key,
            "attempt": this.attempt,
            "workspace": this.workspace,
        }

        def show(said: Any) -> None:
            channel = said["channel"] or "output"
            this.delta(str(said["text"])[:MAX_DELTA], str(channel)[:MAX_CHANNEL])

        try:
            done = await self.peer.call("step", params, show)
        except Fault as fault:
            raise unkept(fault) from None
        finally:
            self._steps.pop(key, None)
        return load_json(done["value"])

    def _step_of(self, params: Any) -> Call:
        try:
            return self._steps[params["key"]]
        except KeyError:
            raise Fault("stale", "this step is over") from None


async def _answer(journal: Journal, request: Request) -> Any:
    """What the SDK's `Context` asks of the journal for a request of this type."""
    arguments = load_json(request.arguments)
    match request.type:
        case "function" | "tool" | "model":
            return await journal.perform(request)
        case "agent":
            return await journal.call_agent(request, arguments["input"], arguments["config"])
        case "approval":
            return await journal.ask(request, request.name, ("approve", "deny"))
        case "question":
            return await journal.ask(request, request.name, arguments)
        case "timer":
            return await journal.sleep(request, arguments)
        case "message":
            return await journal.emit(request, *arguments)
    raise Fault("type", f"there is no {request.type!r} to be asked for")


def unkept(fault: Fault) -> Exception:
    """What to raise of a fault in an agent elsewhere."""
    return NotKept(str(fault)) if fault.code in ("result", "size") else fault
