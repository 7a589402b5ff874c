"""What is kept from one start to the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axtui.ui.settings import MAX_HISTORY, Settings, load, save, settings_file

from .conftest import MakeRuns
from .harness import until
from .opened import drawn, opened, press, told


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ui.json"
    assert load(path) == (Settings(), "")
    save(path, theme="nord")
    saved, problem = save(path, sort="state", history=tuple(map(str, range(500))))
    assert (saved.theme, saved.sort, len(saved.history), problem) == (
        *("nord", "state", MAX_HISTORY, ""),
    )
    assert load(path) == (saved, "")
    assert [file.name for file in path.parent.iterdir()] == ["ui.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"version": 99}',
        '{"version": 1, "theme": 3}',
        '{"version": 1, "reverse": "yes"}',
        '{"version": 1, "history": [1]}',
        '{"version": 1, "theme": "' + "x" * (1 << 20) + '"}',
        "\udcff",
    ],
)
def test_what_is_corrupt_is_set_aside(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ui.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    settings, problem = load(path)
    assert settings == Settings()
    assert problem.endswith("it is set aside as ui.json.bad")
    assert not path.exists()
    assert load(path) == (Settings(), "")


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert save(tmp_path / "file" / "ui.json", theme="nord")[1].endswith("what you set isn't kept")


async def test_the_order_of_the_runs_is_kept(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        assert "by age" in drawn(app)
        await press(pilot, "s", "S")
        await until(pilot, lambda: "by state ↑" in drawn(app))
    assert json.loads(settings_file().read_text())["sort"] == "state"
    async with opened(tmp_path) as (app, _):
        assert "by state ↑" in drawn(app)


async def test_a_corrupt_file_is_told(tmp_path: Path) -> None:
    settings_file().parent.mkdir(parents=True)
    settings_file().write_text("{")
    async with opened(tmp_path) as (app, pilot):
        await until(pilot, lambda: "it is set aside" in told(app))
