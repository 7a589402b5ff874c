"""Forking and deleting conversations by Google AX's protocol."""

from __future__ import annotations

import pytest

from tests.remote.ax.conftest import Served, texts

FORK = "/ax.ConversationService/ForkConversation"
DELETE = "/ax.ConversationService/DeleteConversation"


async def fork(served: Served, source: str, seq: int, new: str) -> tuple[str, str]:
    """The status, and the id or the details."""
    call = served.ax.call(FORK, src_conversation_id=source, src_seq=seq, dest_conversation_id=new)
    found = await call.rest()
    return call.status, found[0]["conversation_id"] if found else call.details


@pytest.mark.parametrize("seq", [0, 6, 5])
async def test_a_fork_at_the_last_that_was_seen_is_finished(served: Served, seq: int) -> None:
    """Seq 5 is the last message, and 6 the end of the run, which no client sees."""
    await served.ax.exec("c", "one two", agent_id="talker").rest()
    assert await fork(served, "c", seq, "d") == ("OK", "d")
    assert texts(await served.ax.exec("d", "three").rest()) == ["three", "that was all"]
    assert texts(await served.ax.exec("d", last_seq=1).rest())[0] == "> one two"


async def test_a_fork_between_two_turns_has_the_first(served: Served) -> None:
    await served.ax.exec("c", "one", agent_id="talker").rest()
    await served.ax.exec("c", "two").rest()
    assert (await fork(served, "c", 4, "d"))[0] == "OK"
    assert (await served.client.state("d")).run.state == "completed"


async def test_a_fork_in_the_middle_goes_on_from_there(served: Served) -> None:
    await served.ax.exec("c", "one two", agent_id="talker").rest()
    assert (await fork(served, "c", 3, "d"))[0] == "OK"
    assert (await served.client.state("d")).run.state == "paused"
    assert texts(await served.ax.exec("d").rest()) == ["two", "that was all"]


async def test_without_an_id_one_is_made_up(served: Served) -> None:
    await served.ax.exec("c", "one", agent_id="talker").rest()
    status, made = await fork(served, "c", 0, "")
    assert status == "OK"
    assert await served.client.find(made) is not None


@pytest.mark.parametrize(
    ("source", "seq", "new", "status"),
    [
        ("", 0, "d", "INVALID_ARGUMENT"),
        ("c", -1, "d", "INVALID_ARGUMENT"),
        ("c", 0, "a b", "INVALID_ARGUMENT"),
        ("nowhere", 0, "d", "NOT_FOUND"),
        ("gone", 0, "d", "NOT_FOUND"),
        ("c", 99, "d", "OUT_OF_RANGE"),
        ("c", 0, "c", "ALREADY_EXISTS"),
        ("c", 0, "gone", "ALREADY_EXISTS"),
    ],
)
async def test_what_cannot_be_forked(
    served: Served, source: str, seq: int, new: str, status: str
) -> None:
    for known in ("c", "gone"):
        await served.ax.exec(known, "x", agent_id="echo").rest()
    await served.client.delete("gone", "")
    assert (await fork(served, source, seq, new))[0] == status
    assert await served.client.find("d") is None


async def test_deleting(served: Served) -> None:
    async def delete(known: str) -> str:
        call = served.ax.call(DELETE, conversation_id=known)
        await call.rest()
        return call.status

    running = served.ax.exec("c", "x", agent_id="gate")
    await running.next()
    assert await delete("c") == "FAILED_PRECONDITION"
    served.open_gate()
    await running.rest()
    assert [await delete("c"), await delete("c")] == ["OK", "NOT_FOUND"]
    assert await delete("nowhere") == "NOT_FOUND"
    assert await delete("") == "INVALID_ARGUMENT"
    assert await served.client.conversations() == []
