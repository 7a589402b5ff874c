"""A model that is a Python function, and says what a script tells it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from axtui.agent import Agent, Retry, Tool
from axtui.runtime.agents.planner import planner

Json = dict[str, Any]
Answer = Callable[[Json], Json]


class Model:
    """Answers with what the function makes of each request, and keeps the requests."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[Json] = []

    def agent(self, *tools: Tool, agent: Agent = planner) -> Agent:
        """The agent with these tools, and this as its default model."""
        model = Tool("default", self._complete, effect="idempotent", retry=Retry(3, delay=0.01))
        return replace(agent, models=(model,), tools=tools)

    async def _complete(self, **request: Any) -> Json:
        self.requests.append(request)
        return self._answer(request)

    def told(self, number: int) -> list[Json]:
        """The results of tools that the model was told last in a request."""
        last = self.requests[number]["messages"][-1]
        return [part["tool_result"] for part in last["content"]]


def says(text: str = "", /, *calls: Json, finish: str = "", **more: Any) -> Json:
    """An answer of a text and calls."""
    return {
        "content": [*([{"text": text}] if text else []), *calls],
        "finish": finish or ("tool_calls" if calls else "stop"),
        "usage": {"input_tokens": 10, "output_tokens": 5},
        "cost_usd": 0.01,
        **more,
    }


def wants(tool: str, /, **arguments: Any) -> Json:
    """A call of a tool, whose name is that of the call too."""
    return {"tool_call": {"id": f"call_{tool}", "name": tool, "arguments": arguments}}


def turns(*answers: Json, otherwise: Mapping[str, Answer] | None = None) -> Answer:
    """Answers in their order, of which it is known by the messages how many there were since the
    user spoke last. Where the system prompt has a word of `otherwise` in it, that answers."""

    def answer(request: Json) -> Json:
        for word, other in (otherwise or {}).items():
            if word in request["system"]:
                return other(request)
        roles = [message["role"] for message in request["messages"]]
        since = roles[::-1].index("user")
        return answers[roles[len(roles) - since :].count("assistant")]

    return answer
