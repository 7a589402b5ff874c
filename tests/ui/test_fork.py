"""The dialog of a fork."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from axtui.screens.fork import ForkScreen

from .conftest import MakeRuns
from .harness import until
from .opened import opened, press, told


@pytest.mark.parametrize("seq", ["-", "+", "-1", "0", "9" * 30])
async def test_what_is_no_event_is_told(tmp_path: Path, make_runs: MakeRuns, seq: str) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "f")
        await until(pilot, lambda: isinstance(app.screen, ForkScreen))
        app.screen.query_one("#seq", Input).value = seq
        await press(pilot, "ctrl+s")
        await until(pilot, lambda: f"no event {seq}" in told(app) or "is no event" in told(app))
        assert isinstance(app.screen, ForkScreen)
