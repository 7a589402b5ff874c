"""Themes: chosen, from files, without colors, and in ASCII."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from axtui.screens.themes import ThemesScreen
from axtui.ui import glyphs
from axtui.widgets.ascii import to_ascii
from axtui.widgets.runs_table import RunsTable
from axtui.widgets.theming import state_colors

from .conftest import MakeRuns
from .harness import until
from .opened import drawn, opened, press, told

MINE = '[colors]\nprimary = "#112233"\nbackground = "{background}"\n'


@pytest.fixture
def themes(tmp_path: Path) -> Path:
    """The folder of a person's own themes."""
    folder = tmp_path / "config" / "axtui" / "themes"
    folder.mkdir(parents=True)
    return folder


async def test_the_picker_shows_each_and_brings_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "t")
        assert isinstance(app.screen, ThemesScreen)
        assert app.theme == "axtui-dark"
        await press(pilot, "down", "down")
        await until(pilot, lambda: app.theme == "ansi-dark")
        await press(pilot, "escape")
        await until(pilot, lambda: app.theme == "axtui-dark")
        assert app.settings.theme == ""
        await press(pilot, "t", "down", "enter")
        await until(pilot, lambda: app.settings.theme == "axtui-light")
    async with opened(tmp_path) as (app, _):
        assert app.theme == "axtui-light"


async def test_every_theme_has_colors_for_states(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _):
        names = set(app.available_themes)
        assert names >= {"axtui-dark", "axtui-light", "ansi-dark", "ansi-light", "nord"}
        for theme in app.available_themes.values():
            assert all(state_colors(theme).values())


async def test_a_theme_is_taken_up_when_its_file_changes(tmp_path: Path, themes: Path) -> None:
    file = themes / "mine.toml"
    file.write_text(MINE.format(background="#000000"))
    async with opened(tmp_path, theme="mine") as (app, pilot):
        table = app.screen.query_one(RunsTable)
        assert table.background_colors[1].hex == "#000000"
        # Watching begins somewhen after the first picture.
        written = iter(range(10_000))

        def write() -> bool:
            if next(written) % 50 == 0:
                file.write_text(MINE.format(background="#101112"))
            return bool(table.background_colors[1].hex == "#101112")

        await until(pilot, write)
        file.write_text(MINE.format(background="#zz"))
        await until(pilot, lambda: "mine.toml:3: '#zz' is no color" in told(app))
        assert table.background_colors[1].hex == "#101112"
        file.write_text(MINE.format(background="#131415"))
        await until(pilot, lambda: table.background_colors[1].hex == "#131415")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[colors\n", "at line 1"),
        ('[colors]\nprimry = "red"\n', "bad.toml:2: there is no 'primry' in [colors]"),
        ("[colors]\nprimary = 3\n", "bad.toml:2: colors.primary isn't a text"),
        ('[colors]\nprimary = "red"\n[states]\ndim = "no color"\n', "bad.toml:4: 'no color' is no"),
        ('[colors]\naccent = "red"\n', "bad.toml:1: [colors] has no primary"),
        ("\x00", "bad.toml"),
    ],
)
async def test_a_broken_file_is_told_and_nothing_more(
    tmp_path: Path, themes: Path, text: str, why: str
) -> None:
    (themes / "bad.toml").write_text(text)
    async with opened(tmp_path) as (app, pilot):
        await until(pilot, lambda: why in told(app))
        assert app.theme == "axtui-dark"


async def test_the_configuration_names_a_theme_and_is_taken_up_live(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    config = tmp_path / "axtui.yaml"
    config.write_text("ui: {theme: nord}\n")
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        assert app.theme == "nord"
        written = iter(range(10_000))

        def write() -> bool:
            if next(written) % 50 == 0:
                config.write_text("ui: {theme: dracula, keymap: vim, keys: {runs.cancel: X}}\n")
            return app.theme == "dracula" and "X cancel" in drawn(app)

        await until(pilot, write)
        config.write_text("ui: {keymap: vi}\n")
        await until(pilot, lambda: "the configuration stays as it was" in told(app))
        assert "X cancel" in drawn(app)


async def test_no_color(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_runs: MakeRuns
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, _):
        assert app.no_color
        assert "completed" in drawn(app)
        colors = set(re.findall("#[0-9a-f]{6}", app.export_screenshot()))
        grey = {color for color in colors if color[1:3] == color[3:5] == color[5:7]}
        # The window around the picture has colors of its own.
        assert colors - grey <= {"#ff5f57", "#febc2e", "#28c840", "#c5c8c6"}


async def test_ascii(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    try:
        async with opened(tmp_path, ascii=True) as (app, pilot):
            assert drawn(app).isascii()
            assert "+- runs [1]" in drawn(app)
            assert "+ completed" in drawn(app)
            await press(pilot, "question_mark")
            assert drawn(app).isascii()
    finally:
        glyphs.use_ascii(False)


def test_what_is_drawn_in_ascii_is_as_wide() -> None:
    assert to_ascii("╭─ a │ é … 日本") == "+- a | ? ~ ????"
    for text in ("👩\u200d👧 ❤\ufe0f", "e\u0301\u0301 \u200d", "1\ufe0f\u20e3 🇩🇪"):
        assert cell_len(to_ascii(text)) == cell_len(text)
    assert to_ascii("cafe\u0301") == "cafe"
