"""`axtui exec` with the real process that asks models, over a provider's API on the loopback."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.providers import ProviderServer, environment

from .harness import ROOT

CANARY = "cn-7f3Kq9ZtW2xLp8"
Event = dict[str, Any]


class _Ended(NamedTuple):
    status: int
    lines: list[Event]
    err: str


async def _axtui(server: ProviderServer, folder: Path, *argv: str) -> _Ended:
    kept = {n: v for n, v in os.environ.items() if not n.endswith(("_API_KEY", "_BASE_URL"))}
    provider = {n: v for n, v in environment(server.url).items() if n.startswith("OPENAI_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "axtui", *argv, "--data-dir", "data", "--output", "json"),
        cwd=folder,
        env={**kept, **provider, "PYTHONPATH": str(ROOT), "CANARY_TOKEN": CANARY},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    lines = [json.loads(line) for line in out.splitlines()]
    return _Ended(process.returncode, lines, err.decode())


async def test_a_model_that_fails_is_asked_again_and_all_of_it_is_told(tmp_path: Path) -> None:
    script = [
        {"status": 429, "headers": {"retry-after": "3"}, "message": f"not you, {CANARY}"},
        {"text": ["Some ", "thing"], "fault": "drop", "after": 1},
        {
            "text": ["The answer ", f"is {CANARY[:6]}", f"{CANARY[6:]}, or 42."],
            "usage": {"input": 1000, "output": 200},
        },
    ]
    async with ProviderServer(script) as server:
        argv = ("--input", "What is it?", "--agent-config", '{"model": "openai:gpt-4o"}')
        ended = await _axtui(server, tmp_path, "exec", *argv)
        assert server.turns == [0, 1, 2]
    assert ended.status == 0, ended.err
    text = "The answer is [redacted:CANARY_TOKEN], or 42."
    result = ended.lines[-1]
    assert (result["kind"], result["state"], result["output"]) == ("result", "completed", text)
    usage = result["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (1000, 200)
    assert usage["cost_usd"] == 0.0045
    _check_attempts(ended.lines)
    _check_deltas(ended.lines, text)
    assert CANARY not in json.dumps(ended.lines) + ended.err
    for path in (tmp_path / "data").iterdir():
        assert CANARY.encode() not in path.read_bytes()


def _check_attempts(lines: list[Event]) -> None:
    failed = [line for line in lines if line["kind"] == "step.failed"]
    assert [(f["data"]["error"]["code"], f["data"]["next"]) for f in failed] == [
        ("rate_limited", "retry"),
        ("network", "retry"),
    ]
    started = [line for line in lines if line["kind"] == "step.started"]
    of_model = [line for line in started if line["data"]["type"] == "model"]
    assert [line["data"]["attempt"] for line in of_model] == [1, 2, 3]
    assert len({line["data"]["key"] for line in of_model}) == 1
    # What the provider asked for is waited for, and is in the log.
    retry_at = failed[0]["data"]["retry_at_us"] / 1e6
    assert _seconds(failed[0]["time"]) + 2.9 <= retry_at <= _seconds(of_model[1]["time"])


def _check_deltas(lines: list[Event], text: str) -> None:
    deltas = [line["data"] for line in lines if line["kind"] == "delta"]
    streams: dict[tuple[int, str], str] = {}
    for delta in deltas:
        stream = (delta["attempt"], delta["channel"])
        assert delta["offset"] == len(streams.get(stream, ""))
        streams[stream] = streams.get(stream, "") + delta["text"]
    assert streams[3, "text"] == text
    assert "Some thing".startswith(streams.get((2, "text"), ""))


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
