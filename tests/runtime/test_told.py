"""What people say to an agent while its run is open: it is heard once, at one place, for good."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from axtui.agent import Context, agent
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.errors import Refused
from tests.runtime.actors import agents_for_tests as agents
from tests.runtime.conftest import ID, MakeWorld, Placed, World, drive_to_end


async def tell(world: World, *texts: str, actor: str = "", id: str = ID) -> None:
    for text in texts:
        await world.controller.tell(id, text, actor, "tester")


async def next_question(world: World) -> None:
    """Answer what is asked, and wait for the next question."""
    (asked,) = await world.waiting()
    await world.answer("yes", asked.id)
    await world.until(lambda state: asked.id not in state.questions and state.questions)
    await world.waiting()


async def after_a_crash(world: World, place: int) -> Any:
    """What comes of the run if all is lost behind an event."""
    copy = await world.copy(place)
    await copy.resume()
    await drive_to_end(copy, lambda question: "yes")
    await copy.check()
    return await copy.output()


async def test_it_is_heard_once_and_there_again_after_any_crash(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.listens))
    await world.start("listens", "not this")
    await world.waiting()
    await tell(world, "one", "two")
    await next_question(world)
    await next_question(world)
    await tell(world, "three")
    await world.answer("yes")
    heard = [[], ["one", "two"], [], ["three"]]
    assert await world.output() == heard
    events = await world.events()
    told = {e["data"]["content"][0]["text"]: e["seq"] for e in events if e["data"].get("to")}
    assert [event["data"]["heard"] for event in events if event["kind"] == "note"] == [
        [told["one"], told["two"]],
        [told["three"]],
    ]
    for place in range(2, len(events)):
        expected = [[text for text in texts if told[text] <= place] for texts in heard]
        assert await after_a_crash(world, place) == expected, place


async def test_what_comes_after_a_crash_is_heard_after_what_was_done(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.listens))
    await world.start("listens")
    await world.waiting()
    await tell(world, "one")
    await next_question(world)
    copy = await world.copy()
    await tell(copy, "two")
    await copy.resume()
    await copy.waiting()
    await next_question(copy)
    await copy.answer("yes")
    assert await copy.output() == [[], ["one"], ["two"], []]


async def test_a_paused_run_hears_when_it_goes_on(make_world: MakeWorld) -> None:
    world = make_world(agents.listens)
    await world.start("listens")
    await world.waiting()
    await world.controller.pause(ID, "", "tester")
    await tell(world, "one")
    await world.resume()
    await next_question(world)
    await next_question(world)
    await world.answer("yes")
    assert await world.output() == [[], ["one"], [], []]


async def test_branches_hear_each_message_once(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.listens_abreast))
    await world.start("listens_abreast")
    await world.waiting()
    texts = [f"m{number}" for number in range(8)]
    await tell(world, *texts[:2])
    await world.answer("yes")
    for text in texts[2:]:
        # It may be over by now.
        if not world.controller.driven(ID):
            break
        try:
            await tell(world, text)
        except Refused:
            break
    output = await world.output()
    heard = output[:-1]
    assert heard[:2] == texts[:2]
    assert sorted(set(heard)) == sorted(heard)
    events = await world.events()
    for place in (len(events) // 2, len(events) - 2, len(events) - 1):
        copy = await world.copy(place)
        await copy.resume(on_interrupted="retry")
        again = await copy.output()
        await copy.check()
        if place == len(events) - 1:
            assert again == output
        assert again[:2] == texts[:2]
        assert sorted(set(again[:-1])) == sorted(again[:-1])


async def test_a_nested_agent_hears_what_is_for_it(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.has_listeners), placed(agents.listens))
    await world.start("has_listeners")
    await world.waiting(2)
    await tell(world, "for the caller")
    await tell(world, "for you", actor="listens")
    state = await drive_to_end(world, lambda question: "yes")
    assert state.run.state == "completed", state.run
    output = [["for the caller"], [[], ["for you"], [], []]]
    assert await world.output() == output
    events = await world.events()
    heard = [e for e in events if e["kind"] == "note"]
    assert [e["actor"] for e in heard] == ["listens", "has_listeners"]
    told = max(e["seq"] for e in events if e["data"].get("to"))
    for place in range(told, len(events), 3):
        assert await after_a_crash(world, place) == output, place


async def test_nothing_more_is_in_the_log_where_nothing_is_said(make_world: MakeWorld) -> None:
    kinds = []
    for version in (agents.listens, agents.listens_not):
        world = make_world(replace(version, id="edited"))
        await world.start("edited")
        await drive_to_end(world, lambda question: "yes")
        kinds.append([(e["kind"], e["data"].get("key")) for e in await world.events()])
    assert kinds[0] == kinds[1]


async def test_a_run_of_before_goes_on_with_an_agent_that_listens(make_world: MakeWorld) -> None:
    world = make_world(replace(agents.listens_not, id="edited"))
    await world.start("edited")
    await world.waiting()
    await next_question(world)
    copy = await world.copy(agents=[replace(agents.listens, id="edited")])
    await tell(copy, "one")
    await copy.resume()
    await copy.waiting()
    await next_question(copy)
    await copy.answer("yes")
    assert await copy.output() == [[], [], ["one"], []]


async def test_an_agent_that_no_more_listens_diverges(make_world: MakeWorld) -> None:
    world = make_world(replace(agents.listens, id="edited"))
    await world.start("edited")
    await world.waiting()
    await tell(world, "one")
    await next_question(world)
    copy = await world.copy(agents=[replace(agents.listens_not, id="edited")])
    await copy.resume()
    assert "diverged at step 2" in (await copy.error()).message


async def test_what_nobody_has_heard_is_history_to_the_next_run(make_world: MakeWorld) -> None:
    @agent
    async def recalls(ctx: Context) -> list[Any]:
        return [ctx.input, await ctx.told(), await ctx.history()]

    world = make_world(agents.listens_not, recalls)
    await world.start("listens_not", "begin")
    await world.waiting()
    await tell(world, "a word", "x" * 100_000)
    await drive_to_end(world, lambda question: "yes")
    said = [["user", "begin"], ["user", "a word"], ["user", "x" * 100_000]]
    assert await world.run("recalls", "and now?") == ["and now?", [], said]


async def test_long_texts_are_heard_in_full(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.listens))
    await world.start("listens")
    await world.waiting()
    long = "ü" * 100_000
    await tell(world, *[long] * 30)
    await next_question(world)
    await next_question(world)
    await world.answer("yes")
    assert await world.output() == [[], [long] * 25, [long] * 5, []]
    assert await after_a_crash(world, len(await world.events()) - 1) == await world.output()


async def test_a_request_that_is_repeated_tells_once(make_world: MakeWorld) -> None:
    world = make_world(agents.listens)
    await world.start("listens")
    await world.waiting()
    for _ in range(2):
        await world.controller.tell(ID, "one", "", "ada", "r1")
    (event,) = [e for e in await world.events(kind="message") if e["data"].get("to")]
    assert (event["principal"], event["request_id"]) == ("ada", "r1")
    assert event["data"] == {"role": "user", "content": [{"text": "one"}], "to": "listens"}
    await drive_to_end(world, lambda question: "yes")
    # Also once there is no run any more that could be told.
    await world.controller.tell(ID, "one", "", "ada", "r1")
    with pytest.raises(Refused, match=r"request 'r1' has caused message already"):
        await world.controller.cancel(ID, "", "ada", "r1")


async def test_what_cannot_be_told(make_world: MakeWorld) -> None:
    far = AgentConfig("far", address="localhost:1", protocol="ax")
    world = make_world(agents.has_listeners, agents.listens, far)
    await world.start("listens", id="done")
    await world.controller.cancel("done", "", "tester")
    await world.start("has_listeners")
    await world.waiting(2)
    seq = (await world.log.head(ID)).seq
    refused = [
        ({"id": "done"}, "no run of done is open"),
        ({"text": " \n"}, "the message is empty"),
        ({"text": "x" * (1024 * 1024 + 1)}, "longer than 1,048,576 characters"),
        ({"text": "\udce4"}, "isn't valid Unicode"),
        ({"actor": "nobody"}, "no agent 'nobody' is at work in the run of c"),
        ({"actor": "far"}, "no agent 'far' is at work"),
    ]
    for wrong, why in refused:
        call = {"id": ID, "text": "hello", "actor": "", **wrong}
        with pytest.raises(Refused, match=why):
            await tell(world, call["text"], actor=call["actor"], id=call["id"])
    assert (await world.log.head(ID)).seq == seq


async def test_secrets_are_redacted(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hush-hush-hush")
    world = make_world(agents.listens)
    await world.start("listens")
    await world.waiting()
    await tell(world, "it is hush-hush-hush")
    await drive_to_end(world, lambda question: "yes")
    assert (await world.output())[1] == ["it is [redacted:MY_TOKEN]"]


async def test_who_gives_up_hearing_has_heard_nothing(make_world: MakeWorld) -> None:
    @agent
    async def gives_up(ctx: Context) -> list[str]:
        await ctx.ask("begin?")
        asking = asyncio.create_task(ctx.told())
        asking.cancel()
        await asyncio.wait({asking})
        await ctx.ask("go on?")
        return await ctx.told()

    world = make_world(gives_up)
    await world.start("gives_up")
    await world.waiting()
    await tell(world, "one")
    await next_question(world)
    await world.answer("yes")
    assert await world.output() == ["one"]
    assert await after_a_crash(world, len(await world.events()) - 1) == ["one"]


async def test_who_gives_up_hearing_does_so_at_each_replay(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.stops_listening))
    await world.start("stops_listening")
    for turn in range(4):
        (asked,) = await world.waiting()
        await tell(world, f"one {turn}", f"two {turn}")
        await world.answer("yes", asked.id)
        if turn < 3:
            await world.until(
                lambda state, last=asked: state.questions and last.id not in state.questions
            )
    output = await world.output()
    events = await world.events()
    notes = [event["seq"] for event in events if event["kind"] == "note"]
    assert len(notes) == 4
    for place in (len(events) - 1, notes[-1], notes[-1] + 1):
        assert await after_a_crash(world, place) == output, place
