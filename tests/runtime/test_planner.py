"""What the agents that work with a model make of its answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from axtui.agent import ActorError, StepFailed, Tool, ToolError, call, tool
from axtui.runtime.actors.models.faults import RETRYABLE
from axtui.runtime.agents.coding import coding
from axtui.runtime.agents.planner import planner
from axtui.runtime.config import Planner, Policy
from tests.runtime.conftest import ID, CrashEverywhere, MakeWorld
from tests.runtime.scripted import Json, Model, says, turns, wants

calls: list[str] = []


async def _note(text: str = "") -> str:
    calls.append(call().idempotency_key)
    await asyncio.sleep(0)
    return f"noted {text}"


LOOK = Tool("look", _note, effect="readonly")
PUT = Tool("put", _note, effect="idempotent")
WIPE = Tool("wipe", _note)
ALLOW = Policy(approve={"*": "allow"})


@tool(effect="readonly")
async def broken() -> None:
    raise ToolError("the disk is full")


def _contents(results: list[Json]) -> list[tuple[Any, bool]]:
    return [(result["content"], result["error"]) for result in results]


async def test_it_calls_tools_until_it_is_done(make_world: MakeWorld) -> None:
    model = Model(turns(says("Looking.", wants("look", text="here")), says("It is here.")))
    world = make_world(model.agent(LOOK))
    assert await world.run(planner, "Where is it?") == "It is here."
    first, second = model.requests
    assert first["messages"] == [{"role": "user", "content": [{"text": "Where is it?"}]}]
    assert "look" in [tool["name"] for tool in first["tools"]]
    assert str(world.folder) in first["system"]
    assert second["messages"][1:] == [
        {"role": "assistant", "content": says("Looking.", wants("look", text="here"))["content"]},
        {
            "role": "tool",
            "content": [
                {
                    "tool_result": {
                        "id": "call_look",
                        "name": "look",
                        "content": "noted here",
                        "error": False,
                    }
                }
            ],
        },
    ]
    said = [e["data"]["content"] for e in await world.events(kind="message")]
    assert said == [[{"text": t}] for t in ("Where is it?", "Looking.", "It is here.")]


async def test_calls_of_a_turn_run_at_the_same_time(make_world: MakeWorld) -> None:
    together = asyncio.Barrier(3)

    @tool(effect="readonly")
    async def meet(name: str) -> str:
        await together.wait()
        return f"met {name}"

    names = ("ann", "bob", "cy")
    wanted = [wants("meet", name=name) for name in names]
    model = Model(turns(says("", *wanted), says("done")))
    await make_world(model.agent(meet)).run(planner)
    assert _contents(model.told(1)) == [(f"met {name}", False) for name in names]


async def test_the_model_is_told_what_went_wrong(make_world: MakeWorld) -> None:
    bad = {"tool_call": {"id": "1", "name": "look", "arguments": {}, "malformed": '{"text": '}}
    wrong = wants("look", wrong="argument")
    model = Model(
        turns(says("", wants("broken"), wants("nothing"), bad, wrong), says("I give up."))
    )
    world = make_world(model.agent(broken, LOOK))
    assert await world.run(planner) == "I give up."
    failed, unknown, malformed, misused = _contents(model.told(1))
    assert failed == ("the disk is full", True)
    assert unknown[0].startswith("There is no tool 'nothing'. There are: ")
    assert "look" in unknown[0]
    assert malformed == ('The arguments are not a JSON object: {"text": ', True)
    assert "unexpected keyword argument 'wrong'" in misused[0]
    assert [error for _, error in (unknown, misused)] == [True, True]
    await world.check()


async def test_the_model_is_told_of_what_was_denied(make_world: MakeWorld) -> None:
    model = Model(turns(says("", wants("put"), wants("wipe"), wants("look")), says("Then not.")))
    world = make_world(model.agent(LOOK, PUT, WIPE), policy=Policy(approve={"put": "deny"}))
    await world.start(planner)
    (question,) = await world.waiting()
    assert (question.type, question.subject, question.actor) == ("permission", "wipe", "planner")
    await world.answer("deny", text="that is all I have")
    assert await world.output() == "Then not."
    assert _contents(model.told(1)) == [
        ("the policy forbids it (policy.approve 'put': deny)", True),
        ("that is all I have", True),
        ("noted ", False),
    ]


@pytest.mark.parametrize("choice", ["approve", "deny"])
async def test_after_max_steps_somebody_is_asked(make_world: MakeWorld, choice: str) -> None:
    model = Model(turns(*[says("", wants("look"))] * 5, says("At last.")))
    world = make_world(model.agent(LOOK), planner=Planner(max_steps=3))
    await world.start(planner)
    (question,) = await world.waiting()
    assert question.question == "It took 3 turns so far. Let it go on?"
    assert len(model.requests) == 3
    await world.answer(choice)
    expected = "At last." if choice == "approve" else "Stopped after 3 turns."
    assert await world.output() == expected


@pytest.mark.parametrize(
    ("finish", "by"), [("length", "the model's limit"), ("filtered", "the provider's filter")]
)
async def test_an_answer_that_was_cut_off_says_so(
    make_world: MakeWorld, finish: str, by: str
) -> None:
    model = Model(turns(says("And so on and", finish=finish)))
    output = await make_world(model.agent()).run(planner)
    assert output == f"And so on and\n[cut off by {by}]"


async def test_thoughts_are_told_apart(make_world: MakeWorld) -> None:
    thought = {"thought": "Hm.", "opaque": {"provider": "x", "signature": "s"}}
    answer = says("Well.", wants("look"))
    answer["content"].insert(0, thought)
    model = Model(turns(answer, says("Yes.")))
    world = make_world(model.agent(LOOK))
    await world.run(planner)
    said = [e["data"]["content"][0] for e in await world.events(kind="message")]
    assert said[1:3] == [{"thought": "Hm."}, {"text": "Well."}]
    # What the provider wants back it gets back.
    assert model.requests[1]["messages"][1]["content"][0] == thought


async def test_a_long_result_is_cut_for_the_model_alone(make_world: MakeWorld) -> None:
    @tool(effect="readonly")
    async def long() -> str:
        return "a" * 30_000 + "b" * 30_000

    model = Model(turns(says("", wants("long")), says("done")))
    world = make_world(model.agent(long))
    await world.run(planner)
    ((content, _),) = _contents(model.told(1))
    assert content.startswith("aaa")
    assert content.endswith("bbb")
    assert "[… 20,000 characters left out …]" in content
    assert len(content) < 41_000


async def test_it_knows_what_was_said_in_earlier_runs(make_world: MakeWorld) -> None:
    model = Model(turns(says("Mind the gap.", wants("look")), says("It is blue.")))
    world = make_world(model.agent(LOOK))
    await world.run(planner, "Which color?")
    await world.run(planner, "Which was it?")
    told = [(m["role"], m["content"][0].get("text")) for m in model.requests[2]["messages"]]
    assert told == [
        ("user", "Which color?"),
        ("assistant", "Mind the gap."),
        ("assistant", "It is blue."),
        ("user", "Which was it?"),
    ]


async def test_no_agent_is_offered_itself_and_names_fit_providers(make_world: MakeWorld) -> None:
    odd = Tool("server.odd name/é", _note, effect="readonly")
    model = Model(turns(says("", wants("server__odd_name__", text="x")), says("done")))
    world = make_world(model.agent(odd), coding)
    await world.run(planner)
    names = [tool["name"] for tool in model.requests[0]["tools"]]
    assert {"server__odd_name__", "coding", "shell", "write_file"} <= set(names)
    assert "planner" not in names
    assert _contents(model.told(1)) == [("noted x", False)]
    await world.run(replace(coding, models=()), id="other")
    assert "coding" not in [tool["name"] for tool in model.requests[-1]["tools"]]


async def test_a_model_that_cannot_be_asked_is_refused_at_the_start(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from axtui.runtime.actors.models.providers import BUILT_IN
    from axtui.runtime.errors import Refused

    for name in (name for built_in in BUILT_IN.values() for name in built_in.keys):
        monkeypatch.delenv(name, raising=False)
    world = make_world(planner)
    with pytest.raises(Refused, match="no model can be called: set one of GEMINI_API_KEY"):
        await world.start(planner)
    with pytest.raises(Refused, match="anthropic has no key"):
        await world.start(planner, config={"model": "anthropic:some"})
    with pytest.raises(Refused, match="'5' is not a model"):
        await world.start(planner, config={"model": 5})
    assert await world.log.find(ID) is None


async def test_it_survives_a_crash_at_any_event(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    model = Model(
        turns(
            says("First.", wants("look"), wants("put"), wants("broken")),
            says("", wants("wipe"), wants("nothing"), wants("look")),
            says("Done."),
        )
    )
    world = make_world(model.agent(LOOK, PUT, WIPE, broken), policy=Policy(approve={"put": "ask"}))
    await crash_everywhere(world, planner, "Do it", calls=calls)
    assert (await world.events())[-1]["data"]["output"] == "Done."


async def test_a_model_that_fails_for_good_fails_the_run(make_world: MakeWorld) -> None:
    def fails(request: Json) -> Json:
        raise ToolError("it is down")

    model = Model(fails)
    world = make_world(model.agent())
    await world.start(planner)
    error = await world.error()
    assert (error.code, "it is down" in error.message) == ("step", True), error
    assert len(model.requests) == 3
    assert StepFailed.__name__ not in error.message


@pytest.mark.parametrize("code", sorted(RETRYABLE))
async def test_what_may_pass_ends_no_run(make_world: MakeWorld, code: str) -> None:
    faults = iter(range(3))

    def answer(request: Json) -> Json:
        if next(faults, None) is not None:
            raise ActorError(code, "not now", retryable=True)
        return says("Here I am.")

    world = make_world(Model(answer).agent())
    await world.start(planner)
    (question,) = await world.waiting()
    assert question.question == "No model answers: not now. Try again?"
    await world.answer("retry")
    assert await world.output() == "Here I am."


async def test_what_the_configuration_says_of_answers_reaches_the_model(
    make_world: MakeWorld,
) -> None:
    model = Model(turns(says("Yes.")))
    world = make_world(model.agent(), planner=Planner(temperature=0.5, max_tokens=100))
    assert await world.run(planner, "Is it?") == "Yes."
    assert model.requests[0]["settings"] == {"temperature": 0.5, "max_tokens": 100}


class _Held:
    """A model whose answers come one at a time, as they are let go."""

    def __init__(self, *answers: Json) -> None:
        self._answers = list(answers)
        self.asked: asyncio.Queue[Json] = asyncio.Queue()
        self.held = asyncio.Semaphore(0)

    async def __call__(self, **request: Any) -> Json:
        self.asked.put_nowait(request)
        await self.held.acquire()
        return self._answers.pop(0)


async def test_what_people_say_meanwhile_is_told_behind_the_results(
    make_world: MakeWorld,
) -> None:
    answers = says("Looking.", wants("look")), says("Done."), says("Done in blue.")
    model = _Held(*answers)
    tools = Tool("default", model, effect="idempotent")
    world = make_world(replace(planner, models=(tools,), tools=(LOOK,)))
    await world.start(planner, "Do it.")

    async def told(*texts: str) -> list[tuple[str, list[str]]]:
        """What the model is asked next; some things are said before it answers."""
        request = await model.asked.get()
        for text in texts:
            await world.controller.tell(ID, text, "", "tester")
        model.held.release()
        return [
            (message["role"], [part["text"] for part in message["content"] if "text" in part])
            for message in request["messages"]
        ]

    assert await told("Quickly!", "And well.") == [("user", ["Do it."])]
    second = [
        ("user", ["Do it."]),
        ("assistant", ["Looking."]),
        ("tool", []),
        ("user", ["Quickly!"]),
        ("user", ["And well."]),
    ]
    assert await told("In blue, please.") == second
    # It was done, and goes on.
    assert await told() == [*second, ("assistant", ["Done."]), ("user", ["In blue, please."])]
    assert await world.output() == "Done in blue."
    said = [e["data"]["content"][0]["text"] for e in await world.events(kind="message")]
    assert said[-3:] == ["In blue, please.", "Done.", "Done in blue."]
    await world.check()
    again = await world.copy(len(await world.records()) - 2)
    await again.resume()
    assert await again.output() == "Done in blue."
    assert model.asked.empty()
