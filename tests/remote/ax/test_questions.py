"""Questions of runs, as a client of Google AX is asked them and answers."""

from __future__ import annotations

from typing import Any

import pytest

from axtui.model.fold import status
from tests.remote.ax.conftest import Served, contents, texts

YES = {"approval": {"approved": True}}
NO = {"decline": {"declined": True}}


async def asked(served: Served, input: str, **request: Any) -> dict[str, Any]:
    """The confirmation that a run ends its turn with."""
    call = served.ax.exec("c", input, **request)
    responses = await call.rest()
    assert call.status == "OK"
    assert "outputs" not in responses[-1]
    (found,) = contents(responses, "confirmation")
    return dict(found)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (YES, "did it"),
        (NO, "not done"),
        ({"approval": {"approved": False}}, "not done"),
        ({"approval": {}}, "not done"),
        ({"decline": {}}, "not done"),
    ],
)
async def test_a_confirmation_ends_the_turn_and_its_decision_goes_on(
    served: Served, decision: dict[str, Any], said: str
) -> None:
    question = await asked(served, "it", agent_id="asker")
    assert question["question"] == "Do it?"
    answer = served.ax.exec("c", {"confirmation": {"id": question["id"], **decision}})
    responses = await answer.rest()
    assert (answer.status, texts(responses)) == ("OK", [said])
    assert contents(responses, "confirmation") == []


@pytest.mark.parametrize(("word", "said"), [("yes", "did it"), ("Deny", "not done")])
async def test_a_word_answers_too(served: Served, word: str, said: str) -> None:
    await asked(served, "it", agent_id="asker")
    assert texts(await served.ax.exec("c", word).rest()) == [said]


async def test_other_questions_are_texts_and_texts_answer_them(served: Served) -> None:
    first = await served.ax.exec("c", "x", agent_id="chooser").rest()
    assert texts(first) == ["Which color? (red, green, blue)"]
    second = await served.ax.exec("c", "GREEN").rest()
    assert texts(second) == ["And your name?"]
    assert texts(await served.ax.exec("c", "Ada").rest()) == ["Ada takes green"]


async def test_who_has_not_seen_a_question_is_asked_again(served: Served) -> None:
    question = await asked(served, "it", agent_id="asker")
    again = await served.ax.exec("c").rest()
    assert contents(again, "confirmation") == [question]
    assert len(again) == 1
    assert await served.ax.exec("c", last_seq=again[0]["seq"]).rest() == []


async def test_what_somebody_else_answers_is_seen(served: Served) -> None:
    call = served.ax.exec("c", "it", agent_id="asker")
    responses = await call.rest()
    await served.client.answer("c", "", "approve", "", False)
    after = await served.ax.exec("c", last_seq=responses[-1]["seq"]).rest()
    (answer,) = contents(after, "confirmation")
    assert answer["approval"] == {"approved": True}
    assert after[0]["outputs"][0]["role"] == "user"
    assert texts(after) == ["did it"]


async def test_what_a_rule_answers_is_no_question(served: Served) -> None:
    question = await asked(served, "it", agent_id="asker")
    await served.client.answer("c", question["id"], "approve", "", True)
    await served.until("c", lambda state: status(state) == "completed")
    responses = await served.ax.exec("c", "it").rest()
    assert contents(responses, "confirmation") == []
    assert texts(responses) == ["did it"]


@pytest.mark.parametrize(
    ("inputs", "status", "word"),
    [
        ([{"confirmation": {"id": "q9", **YES}}], "FAILED_PRECONDITION", "no question 'q9'"),
        ([{"confirmation": {"id": "q4"}}], "INVALID_ARGUMENT", "has no decision"),
        ([{"confirmation": {"id": "q4", **YES}}, "more"], "INVALID_ARGUMENT", "goes alone"),
        (["perhaps"], "FAILED_PRECONDITION", "q3: Do it? (approve, deny)"),
    ],
)
async def test_what_is_no_answer(served: Served, inputs: list[Any], status: str, word: str) -> None:
    question = await asked(served, "it", agent_id="asker")
    for input in inputs:
        if isinstance(input, dict) and input["confirmation"]["id"] == "q4":
            input["confirmation"]["id"] = question["id"]
    call = served.ax.exec("c", *inputs)
    assert await call.rest() == []
    assert (call.status, word in call.details) == (status, True), call.details


async def test_a_question_that_takes_text_is_not_confirmed(served: Served) -> None:
    await served.ax.exec("c", "x", agent_id="chooser").rest()
    (id,) = (await served.client.state("c")).questions
    call = served.ax.exec("c", {"confirmation": {"id": id, **YES}})
    await call.rest()
    assert (call.status, "red, green, blue" in call.details) == ("INVALID_ARGUMENT", True)
