"""What an agent is written with.

    from axtui.agent import Context, agent

    @agent
    async def greeter(ctx: Context) -> str:
        name = await ctx.ask("Who are you?")
        return f"Hello, {name}"

An agent is an async function. It may be run again from the top at any time, after a crash say: what
it did through its `Context` is then not done again, it gets the outcomes that are in the log. So
whatever differs from one time to the next (clocks, chance, files, networks) belongs into steps.

It may do several things at once, with all that asyncio has for that; which of them was first is in
the log too. Only make tasks of your own coroutines before you give them to `asyncio.as_completed`:
it would start them in an order that differs each time.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, TypeVar, overload

from axtui.model.codec import dump_json

Effect = Literal["", "readonly", "idempotent"]
AgentFunction = Callable[["Context"], Awaitable[Any]]
T = TypeVar("T")
# What has been asked for: to be awaited, or to be made a task of.
Asked: TypeAlias = Coroutine[Any, Any, T]
F = TypeVar("F", bound=Callable[..., Any])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StepFailed(Exception):
    """A step didn't complete. `code` is a stable word: exception, timeout, denied, interrupted."""

    def __init__(self, key: str, name: str, code: str, message: str) -> None:
        super().__init__(f"step {key} ({name}) failed: {message}")
        self.key = key
        self.name = name
        self.code = code
        self.message = message


class ToolError(Exception):
    """A tool says that it couldn't do what it was asked; the message is for whoever asked."""


class ActorError(Exception):
    """What a step needed of an actor failed: a model, a tool's server, an agent elsewhere.

    `code` is a stable word. `retryable` says that another attempt may do better, after that many
    seconds at the earliest; `unknown` that nobody knows whether this one had an effect.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float = 0.0,
        unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.unknown = unknown


class ContinueRun(BaseException):
    """Not an error: how `Context.continue_with` leaves an agent."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.state = dict(state)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a step that fails is tried again.

    `attempts` counts the first one. The wait grows by `factor` from `delay` up to `max_delay`
    seconds; no attempt begins more than `total` seconds after the first.
    """

    attempts: int = 3
    delay: float = 0.5
    factor: float = 2.0
    max_delay: float = 60.0
    total: float = 600.0


ONCE = Retry(attempts=1)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that agents call by name. `effect` says what a repeat would do.

    `description` and `schema` (JSON schema of the arguments) are for models that may choose it.
    """

    name: str
    function: Callable[..., Any]
    effect: Effect = ""
    timeout: float | None = None
    retry: Retry = ONCE
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    diff: Callable[[Mapping[str, Any], str], str] | None = None
    """What a call with these arguments in that workspace would change in files."""
    pin: str = ""
    """A digest of what its server says of it; once it's another, an earlier `--always` is void."""
    unprotected: str = ""
    """Why it isn't run in a sandbox, of a tool that should be."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as it is registered, with the tools and models that it brings along."""

    id: str
    function: AgentFunction
    description: str = ""
    tools: tuple[Tool, ...] = ()
    models: tuple[Tool, ...] = ()
    timeout: float | None = None

    def serve(
        self,
        address: str = "localhost:50051",
        *,
        beside: Sequence[Agent] = (),
        cert: str | None = None,
        key: str | None = None,
        client_ca: str | None = None,
    ) -> None:
        """Serve this agent, and those `beside` it, to controllers that have its `address` in their
        configuration, until SIGTERM or SIGINT; steps that are being done then have a moment to end.

        `address` is "host:port" or "unix:PATH"; a controller that starts this program as the
        `command` of an agent says itself where. `cert` and `key` are files for TLS; with
        `client_ca` only those are served who show a certificate of that authority. Without it, all
        who can reach the address are. Raises OSError if it can't be served there, ValueError for
        half of what TLS needs.
        """
        # It needs gRPC, which takes its time to be imported.
        from axtui.runtime.actors.agent_server import serve

        serve([self, *beside], address, cert, key, client_ca)


@overload
def agent(function: AgentFunction, /) -> Agent: ...
@overload
def agent(
    *,
    id: str = ...,
    description: str = ...,
    tools: Sequence[Tool] = ...,
    models: Sequence[Tool] = ...,
    timeout: float | None = ...,
) -> Callable[[AgentFunction], Agent]: ...
def agent(
    function: AgentFunction | None = None,
    /,
    *,
    id: str = "",
    description: str = "",
    tools: Sequence[Tool] = (),
    models: Sequence[Tool] = (),
    timeout: float | None = None,
) -> Agent | Callable[[AgentFunction], Agent]:
    """Make an agent of an async function; its name and docstring serve where nothing is said.

    `timeout` limits the running time of a run in seconds; waiting for a person doesn't count.
    """

    def wrap(function: AgentFunction) -> Agent:
        doc = description or (inspect.getdoc(function) or "").partition("\n")[0]
        name = id or getattr(function, "__name__", "agent")
        return Agent(name, function, doc, tuple(tools), tuple(models), timeout)

    return wrap if function is None else wrap(function)


def tool(
    *,
    name: str = "",
    effect: Effect = "",
    timeout: float | None = None,
    retry: Retry = ONCE,
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a tool, or a model, of a function; `async` ones run in the loop, others in a thread."""
    return lambda function: Tool(name or function.__name__, function, effect, timeout, retry)


class Environment(Protocol):
    """Where the commands of a run are run, in a sandbox if there is one."""

    async def run(
        self,
        command: str,
        *,
        workspace: str,
        timeout: float | None = ...,
        on_output: Callable[[str], None] = ...,
        variables: Mapping[str, str] | None = ...,
        readable: Sequence[str] = ...,
    ) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a step's function can know about the step; see `call`."""

    idempotency_key: str
    attempt: int
    workspace: str
    delta: Callable[..., None]
    """Show provisional text, on a channel if it isn't `output`, to whoever watches. Nothing of
    it is kept."""
    ask: Callable[[str, Sequence[str], Any], Awaitable[str]]
    """Put a question to a person in the middle of the step: the text, the choices (none: any
    text) and what it is about. Gives back the answer."""
    environment: Environment


_call: ContextVar[Call | None] = ContextVar("axtui_call", default=None)


def call() -> Call:
    """The step that the calling function is being run for. Raises RuntimeError outside one.

    Its `idempotency_key` is the same at every attempt, before and after a crash.
    """
    current = _call.get()
    if current is None:
        raise RuntimeError("axtui.agent.call() is for functions that run as a step")
    return current


@dataclass(slots=True)
class Request:
    """What an agent asks of the journal."""

    key: str
    type: str
    name: str
    arguments: str
    scope: Scope
    effect: Effect = ""
    timeout: float | None = None
    retry: Retry = ONCE
    function: Callable[[], Any] | None = None
    by_model: bool = False
    body: Mapping[str, Any] | None = None
    """What a tool or model is called with, where that isn't just what is recorded of it, and so
    can't be edited there."""
    diff: Callable[[], str] | None = None
    """What the step would change in files."""
    subject: str = ""
    """What a rule about it would be about; else its name."""
    pin: str = ""
    """By what the tool is known, if what it is said to do may change."""
    unprotected: str = ""
    """Why nothing stands between the step and the rest of the machine, if so."""
    edited: str = ""
    """What a person has put in the place of `arguments`, if so."""
    fingerprint: bytes = b""

    @property
    def called_with(self) -> str:
        """The arguments that it is done with."""
        return self.edited or self.arguments

    def __post_init__(self) -> None:
        said = f"{self.type}\0{self.name}\0{self.arguments}".encode()
        self.fingerprint = sha256(said).digest()[:8]


class Scope:
    """A line of an agent in which one thing comes after another, so that steps can be counted.

    Every task that an agent starts, and every agent that it calls, is a scope below its own,
    numbered in the order of the calls.
    """

    __slots__ = ("_branches", "_ordinal", "_random", "actor", "exec_id", "path", "task", "time_us")

    def __init__(self, path: str, actor: str, exec_id: str, time_us: int) -> None:
        self.path = path
        self.actor = actor
        self.exec_id = exec_id
        self.time_us = time_us
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self._ordinal = 0
        self._branches = 0
        self._random: random.Random | None = None

    @property
    def place(self) -> tuple[int, int]:
        """How many steps and branches there have been."""
        return self._ordinal, self._branches

    @place.setter
    def place(self, place: tuple[int, int]) -> None:
        self._ordinal, self._branches = place

    def next_key(self) -> str:
        """The key of the next step."""
        self._ordinal += 1
        return f"{self.path}{self._ordinal}"

    def peek_key(self) -> str:
        """The key that the next step will have."""
        return f"{self.path}{self._ordinal + 1}"

    def peek_branch(self) -> str:
        """The path that the next branch will have."""
        return f"{self.path}~{self._branches + 1}/"

    def may_change(self, recorded: Mapping[str, bool]) -> bool:
        """Whether a change of the agent's code holds here: nothing is recorded of this place yet,
        or that it did. `recorded` has for each key whether it is that of a change."""
        key, inside = self.peek_key(), self.peek_branch()
        if key in recorded:
            return recorded[key]
        return not any(known.startswith(inside) for known in recorded)

    def ticket(self) -> int:
        """A number for what may become a branch."""
        self._branches += 1
        return self._branches

    def branch(self, ticket: int) -> Scope:
        """The scope of a task that was started in this one."""
        return Scope(f"{self.path}~{ticket}/", self.actor, self.exec_id, self.time_us)

    def here(self, ticket: int) -> Scope:
        """The scope of the task that now runs what was called in this one.

        So a branch is numbered by the order of calls: `asyncio.as_completed` starts coroutines in
        no order at all.
        """
        task = asyncio.current_task()
        if self.task is task:
            if ticket == self._branches:
                # Called and awaited: no branch.
                self._branches -= 1
            return self
        scope = _scope.get()
        if scope is None or scope.task is not task:
            scope = self.branch(ticket)
            _scope.set(scope)
        return scope

    def random(self, seed: str) -> random.Random:
        """The scope's source of chance: the same at every replay."""
        if self._random is None:
            self._random = random.Random(f"{seed}:{self.path}")
        return self._random


_scope: ContextVar[Scope | None] = ContextVar("axtui_scope", default=None)


class Journal(Protocol):
    """What a `Context` stands on: it does things once and remembers how they ended."""

    seed: str

    async def perform(self, request: Request) -> Any: ...
    async def call_agent(self, request: Request, input: str, config: Any) -> Any: ...
    async def ask(self, request: Request, question: str, choices: Sequence[str]) -> str: ...
    async def sleep(self, request: Request, seconds: float) -> None: ...
    async def emit(self, request: Request, text: str, thought: bool, internal: bool) -> None: ...
    async def history(self, limit: int) -> list[tuple[str, str]]: ...
    async def told(self, scope: Scope) -> list[str]: ...
    def patched(self, scope: Scope, name: str) -> bool: ...


@dataclass(slots=True)
class Context:
    """One agent's hold on one run."""

    agent_id: str
    conversation_id: str
    input: str
    """What this run was started with."""
    config: Any
    """The value of `--agent-config`, None if there is none."""
    state: dict[str, Any]
    """Private state: what is in it when the run completes is there in the agent's next run of
    this conversation. JSON values only."""
    workspace: str
    _journal: Journal = field(repr=False)

    def step(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str = "",
        effect: Effect = "",
        timeout: float | None = None,
        retry: Retry = ONCE,
    ) -> Asked[Any]:
        """Call `function(*args)` once, whatever happens, and give back its JSON value.

        `effect` says what a second call would do: `readonly` and `idempotent` functions are called
        again by themselves when nobody knows how a call ended; of others a person, or
        `--on-interrupted`, decides. Raises StepFailed.
        """
        return self._ask(
            self._journal.perform,
            "function",
            name or getattr(function, "__name__", "function").strip("<>"),
            list(args),
            effect=effect,
            timeout=timeout,
            retry=retry,
            function=partial(function, *args),
        )

    def tool(self, tool: str, /, **arguments: Any) -> Asked[Any]:
        """Call a tool by its name. Raises StepFailed."""
        return self._ask(self._journal.perform, "tool", tool, arguments)

    def model(self, model: str, /, prompt: str, **options: Any) -> Asked[Any]:
        """Ask a model once by its name, such as "gemini:gemini-2.5-pro" or "default"; see `Chat`
        for more than that. Raises StepFailed."""
        return self._ask(self._journal.perform, "model", model, {"prompt": prompt, **options})

    def _ask_model(self, model: str, recorded: Any, body: Mapping[str, Any]) -> Asked[Any]:
        return self._ask(self._journal.perform, "model", model, recorded, body=body)

    def act(self, tool: str, arguments: Mapping[str, Any]) -> Asked[Any]:
        """Call a tool because a model wants it. Unlike with `tool`, whoever the policy names has
        to agree first, if the tool isn't declared readonly. Raises StepFailed."""
        return self._ask(self._journal.perform, "tool", tool, dict(arguments), by_model=True)

    def tools(self) -> Asked[list[dict[str, Any]]]:
        """The tools that a model can be offered: name, description, schema, effect.

        Those of the environment, of MCP servers and skills, the functions that agents bring along,
        and with `agent` set the other agents. An entry with an `error` is a server or an agent
        that can't be reached. What is there at the first time holds for the whole run.
        """
        return self._ask(
            self._journal.perform, "tool", "tools", {}, effect="readonly", retry=Retry()
        )

    def agent(self, agent: str, /, input: str = "", config: Any = None) -> Asked[Any]:
        """Run another agent to its end and give back what it returned. Raises StepFailed."""
        call = partial(self._journal.call_agent, input=input, config=config)
        return self._ask(call, "agent", agent, {"input": input, "config": config})

    def approve(self, question: str, *, detail: Any = None) -> Asked[bool]:
        """Whether a person, or the policy, says yes."""
        choices = ("approve", "deny")
        ask = partial(self._journal.ask, question=question, choices=choices)
        return _is_yes(self._ask(ask, "approval", question, detail))

    def ask(self, question: str, *, choices: Sequence[str] = ()) -> Asked[str]:
        """A person's answer: one of the choices or, without any, a text."""
        ask = partial(self._journal.ask, question=question, choices=choices)
        return self._ask(ask, "question", question, list(choices))

    def sleep(self, seconds: float) -> Asked[None]:
        """Wait; a restart doesn't begin the wait anew."""
        return self._ask(partial(self._journal.sleep, seconds=seconds), "timer", "sleep", seconds)

    def emit(self, text: str, *, thought: bool = False, internal: bool = False) -> Asked[None]:
        """Say something. A thought is shown as such; what is internal only this agent sees."""
        emit = partial(self._journal.emit, text=text, thought=thought, internal=internal)
        return self._ask(emit, "message", "emit", [text, thought, internal])

    async def history(self, limit: int = 100) -> list[tuple[str, str]]:
        """The last messages of the conversation's earlier runs, oldest first: role and text."""
        return await self._journal.history(limit)

    def told(self) -> Asked[list[str]]:
        """What people have said to this agent while the run is open and it hasn't heard yet,
        oldest first, at most 25 texts at a time; empty if there is nothing. What was handed over
        here is handed over here at every replay, and nothing that came later."""
        scope = self._scope()
        ticket = scope.ticket()

        async def asked() -> list[str]:
            return await self._journal.told(scope.here(ticket))

        return asked()

    def now(self) -> datetime:
        """The time of the last thing that happened here: the same at every replay. UTC."""
        return _EPOCH + timedelta(microseconds=self._scope().time_us)

    def random(self) -> random.Random:
        """A source of chance that gives the same at every replay."""
        return self._scope().random(self._journal.seed)

    def patched(self, name: str) -> bool:
        """Whether a change of the agent's code holds for this run.

        False in runs that got past this place before the change was made, which therefore have
        to go on as they began.
        """
        return self._journal.patched(self._scope(), name)

    def continue_with(self, state: Mapping[str, Any]) -> NoReturn:
        """End this run, and start the next in its place with `state` as private state.

        For agents that never end: a run's log is read again after a crash, so it should end
        some day.
        """
        raise ContinueRun(state)

    def _ask(
        self,
        perform: Callable[[Request], Awaitable[T]],
        type: str,
        name: str,
        arguments: Any,
        **rest: Any,
    ) -> Asked[T]:
        scope = self._scope()
        try:
            text = dump_json(arguments)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(
                f"the arguments of {type} {name!r} have to be JSON values: {error}; "
                "a function can get anything else by closing over it"
            ) from None
        ticket = scope.ticket()

        async def asked() -> T:
            here = scope.here(ticket)
            return await perform(Request(here.next_key(), type, name, text, here, **rest))

        return asked()

    def _scope(self) -> Scope:
        if _call.get() is not None:
            raise RuntimeError(
                "a step's function can't use the context, since it isn't called again on replay"
            )
        scope = _scope.get()
        if scope is None:
            raise RuntimeError("a context is for the agent that it was given to")
        if scope.task is not asyncio.current_task():
            scope = scope.branch(scope.ticket())
            _scope.set(scope)
        return scope


class Chat:
    """A dialogue with a model. Each `send` is a step, of which only what is new is recorded.

    `messages` are values like `{"role": "user", "content": [{"text": "Hello"}]}`. Parts of content
    are `text`, `thought`, `media`, and in answers of the model `tool_call` and to them
    `tool_result`, see docs/models.md.
    """

    def __init__(
        self,
        context: Context,
        model: str = "default",
        *,
        system: str = "",
        tools: Sequence[Mapping[str, Any]] = (),
        schema: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._context = context
        self.model = model
        self._tools = [tool["name"] for tool in tools]
        self._body: dict[str, Any] = {
            "system": system,
            "tools": [{name: t[name] for name in ("name", "description", "schema")} for t in tools],
            "schema": schema,
            "settings": dict(settings or {}),
            "timeout": timeout,
        }
        self.messages: list[dict[str, Any]] = []

    async def send(self, *messages: dict[str, Any]) -> dict[str, Any]:
        """The model's answer to what was said so far and `messages`: its `content`, `finish`,
        `usage` and more. Raises StepFailed.
        """
        said = [*self.messages, *messages]
        body = {**self._body, "messages": said}
        # What went before is in the log already; its digest tells a course that differs.
        before = sha256(dump_json([self._body, self.messages]).encode()).hexdigest()[:16]
        recorded: dict[str, Any] = {"messages": list(messages), "before": before}
        if not self.messages:
            recorded["system"] = self._body["system"]
            recorded["tools"] = self._tools
        reply = await self._context._ask_model(self.model, recorded, body)
        if reply is None:
            scope = self._context._scope()
            key = f"{scope.path}{scope.place[0]}"
            raise StepFailed(key, self.model, "skipped", "it was skipped, so there is no answer")
        self.messages = [*said, {"role": "assistant", "content": reply["content"]}]
        return dict(reply)


async def _is_yes(answer: Awaitable[str]) -> bool:
    return await answer == "approve"
