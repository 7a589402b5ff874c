"""A history that grew too long: its older part is summed up, and nothing is torn apart."""

from __future__ import annotations

import re

import pytest

from axtui.agent import ActorError, Context, Tool, call
from axtui.model.codec import dump_json
from axtui.runtime.agents.planner import planner
from axtui.runtime.agents.text import echo
from axtui.runtime.config import Planner
from tests.runtime.conftest import CrashEverywhere, MakeWorld, World
from tests.runtime.scripted import Answer, Json, Model, says

LIMIT = 3000
TURNS = 9

calls: list[str] = []


async def _look(number: int, padding: str = "") -> str:
    calls.append(call().idempotency_key)
    return f"result {number} {'r' * 300}"


LOOK = Tool("look", _look, effect="readonly")


def _counting(padding: int, abreast: int = 1) -> Answer:
    """Looks at one thing after the other; which is next is in the results of the last turn."""

    def answer(request: Json) -> Json:
        if request["system"].startswith("Sum up"):
            return says("What was found so far.")
        last = request["messages"][-1]
        done = max(
            (int(part["tool_result"]["id"]) for part in last["content"] if "tool_result" in part),
            default=0,
        )
        if done >= TURNS:
            return says("All seen.")
        return says(
            "",
            *(
                {
                    "tool_call": {
                        "id": str(number),
                        "name": "look",
                        "arguments": {"number": number, "padding": "p" * padding},
                    }
                }
                for number in range(done + 1, done + 1 + abreast)
            ),
        )

    return answer


def _check_pairs(model: Model) -> None:
    """Every result comes right behind its call, and every call but the last has its result."""
    for request in model.requests:
        open_calls: list[str] = []
        for message in request["messages"]:
            results = [p["tool_result"]["id"] for p in message["content"] if "tool_result" in p]
            assert results == open_calls, [m["role"] for m in request["messages"]]
            open_calls = [p["tool_call"]["id"] for p in message["content"] if "tool_call" in p]
        assert not open_calls


async def _compactions(world: World) -> list[int]:
    """How many messages each compaction replaced, as the transcript says."""
    found = []
    for event in await world.events(kind="message"):
        told = event["data"]["content"][0].get("thought", "")
        if match := re.fullmatch(
            "The history grew too long: its first (\\d+) messages are replaced by a summary.", told
        ):
            found.append(int(match[1]))
    return found


# With much in a call the last message alone is more than what is kept.
@pytest.mark.parametrize("padding", [0, 400, 2000, 4000])
@pytest.mark.parametrize("abreast", [1, 3])
async def test_older_messages_are_summed_up(
    make_world: MakeWorld, padding: int, abreast: int
) -> None:
    model = Model(_counting(padding, abreast))
    world = make_world(model.agent(LOOK), planner=Planner(history_chars=LIMIT))
    assert await world.run(planner, "Look at everything") == "All seen."
    _check_pairs(model)
    replaced = await _compactions(world)
    summaries = [r for r in model.requests if r["system"].startswith("Sum up")]
    assert len(replaced) == len(summaries) > 0
    assert not summaries[0]["tools"]
    assert "Look at everything" in summaries[0]["messages"][0]["content"][0]["text"]
    after = model.requests[model.requests.index(summaries[0]) + 1]["messages"]
    assert after[0]["content"][0]["text"] == (
        f"Summary of the {replaced[0]} messages before this one:\nWhat was found so far."
    )
    await world.check()


async def test_what_is_too_long_to_be_summed_up_is_named(make_world: MakeWorld) -> None:
    model = Model(_counting(4 * LIMIT))
    world = make_world(model.agent(LOOK), planner=Planner(history_chars=LIMIT))
    await world.run(planner)
    told = [
        request["messages"][0]["content"][0]["text"]
        for request in model.requests
        if request["system"].startswith("Sum up")
    ]
    assert any(re.match(r"\[… [\d,]+ characters left out …\]\n", text) for text in told)
    assert max(map(len, told)) < LIMIT + 100


async def test_a_short_history_stays(make_world: MakeWorld) -> None:
    model = Model(_counting(0))
    world = make_world(model.agent(LOOK))
    await world.run(planner)
    assert not await _compactions(world)
    assert len(model.requests[-1]["messages"]) == 2 * TURNS + 1


async def test_it_survives_a_crash_at_any_event(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    model = Model(_counting(200, abreast=2))
    world = make_world(model.agent(LOOK), planner=Planner(history_chars=LIMIT))
    await crash_everywhere(world, planner, "Look", calls=calls)
    assert await _compactions(world)
    _check_pairs(model)


async def test_a_history_that_is_too_long_for_the_model_is_made_to_fit(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    inner = _counting(200)

    def answer(request: Json) -> Json:
        if len(dump_json(request["messages"])) > LIMIT:
            raise ActorError("context_too_long", "at most so much")
        return inner(request)

    model = Model(answer)
    world = make_world(model.agent(LOOK))
    await crash_everywhere(world, planner, "Look at everything", calls=calls)
    assert await _compactions(world)
    assert [event["kind"] for event in await world.events(kind="run.")][-1] == "run.completed"
    # Once it is known how much it takes, it isn't sent more.
    failed = [event["seq"] for event in await world.events(kind="step.failed")]
    assert 0 < len(failed) < 5
    _check_pairs(model)


async def test_what_can_be_made_no_shorter_fails(make_world: MakeWorld) -> None:
    def answer(request: Json) -> Json:
        raise ActorError("context_too_long", "at most so much")

    model = Model(answer)
    world = make_world(model.agent())
    await world.start(planner, "Look at everything")
    assert "at most so much" in (await world.error()).message
    assert len(model.requests) == 1


async def test_the_work_so_far_outlives_a_model_that_does_not_sum_it_up_for_now(
    make_world: MakeWorld,
) -> None:
    inner, refused = _counting(200), iter(range(3))

    def answer(request: Json) -> Json:
        if request["system"].startswith("Sum up") and next(refused, None) is not None:
            raise ActorError("rate_limited", "slow down", retryable=True)
        return inner(request)

    world = make_world(Model(answer).agent(LOOK), planner=Planner(history_chars=LIMIT))
    await world.start(planner, "Look at everything")
    (question,) = await world.waiting()
    assert question.question == "No model answers: slow down. Try again?"
    await world.answer("retry")
    assert await world.output() == "All seen."
    assert await _compactions(world)


def _summing_up_nothing(request: Json) -> Json:
    if request["system"].startswith("Sum up"):
        thought: Json = {"thought": "Where do I begin?"}
        return says("", thought, finish="length")
    return _counting(200)(request)


async def test_no_summary_takes_the_place_of_nothing(make_world: MakeWorld) -> None:
    model = Model(_summing_up_nothing)
    world = make_world(model.agent(LOOK), planner=Planner(history_chars=LIMIT))
    assert await world.run(planner, "Look at everything") == "All seen."
    assert not await _compactions(world)
    assert len(model.requests[-1]["messages"]) == 2 * TURNS + 1
    await world.check()


async def test_a_run_that_had_gone_on_with_an_empty_summary_keeps_to_it(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(Model(_summing_up_nothing).agent(LOOK), planner=Planner(history_chars=LIMIT))
    with monkeypatch.context() as before:
        before.setattr(Context, "patched", lambda ctx, name: False)
        assert await world.run(planner, "Look at everything") == "All seen."
    assert await _compactions(world)
    for place in range(2, len(await world.records())):
        copy = await world.copy(place)
        await copy.resume(on_interrupted="retry")
        assert await copy.output() == "All seen.", place


async def test_the_history_of_earlier_runs_is_summed_up_too(make_world: MakeWorld) -> None:
    def answer(request: Json) -> Json:
        if request["system"].startswith("Sum up"):
            return says("It was all about whales.")
        return says("w" * (LIMIT // 2))

    model = Model(answer)
    world = make_world(model.agent(), planner=Planner(history_chars=LIMIT))
    for _ in range(4):
        await world.run(planner, "More")
    sent = [len(dump_json(r["messages"])) for r in model.requests if r["system"][:6] != "Sum up"]
    assert max(sent) < 2 * LIMIT
    assert await _compactions(world)


async def test_what_was_said_before_is_made_to_fit_too(make_world: MakeWorld) -> None:
    sent: list[int] = []

    def answer(request: Json) -> Json:
        if len(dump_json(request["messages"])) > LIMIT:
            raise ActorError("context_too_long", "at most so much")
        sent.append(len(request["messages"]))
        return says("Summary." if request["system"].startswith("Sum up") else "All seen.")

    world = make_world(echo, Model(answer).agent(), planner=Planner(history_chars=2 * LIMIT))
    for number in range(8):
        await world.run(echo, f"{number} {'x' * 500}")
    assert await world.run(planner, "Look at everything") == "All seen."
    assert sent
    await world.check()
