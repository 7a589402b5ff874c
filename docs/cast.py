"""Records the picture in the README: types a real session into tmux and draws what it shows.

    python docs/cast.py docs/cast.svg

Needs tmux, and `axtui` on the PATH. Who can't play the animation sees its last frame.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

COLUMNS, ROWS = 96, 40
CELL, LINE, SIZE, MARGIN, BAR = 8.4, 19, 14, 18, 34
KEY_SECONDS, FRAME_SECONDS, LAST_SECONDS = 0.045, 0.15, 6.0

COMMANDS = {
    "fetch": "sleep 1.5; echo fetched 312 pages",
    "build": "sleep 1.5; echo built the site",
    "publish": "sleep 4; echo published it",
    "announce": "echo told everybody",
}
# What is typed, and what the screen shows when that is done.
SCENE = (
    ("cat job.sh", r"announce\n\$ $"),
    (
        "timeout -s KILL 5 axtui exec --conversation site --agent shell --input @job.sh",
        r"Killed\s+\$ $",
    ),
    ("axtui list", r"the log takes.*\n\$ $"),
    ("axtui exec --conversation site --resume", r"skip it, or fail\?(.|\n)*\] ?$"),
    ("retry", r"seq=\d+\n\$ $"),
    ("axtui list", r"completed(.|\n)*the log takes.*\n\$ $"),
)

PAPER, INK = "#15181e", "#d5dae3"
PALETTE = ("#5b6472", "#e8707a", "#86c98b", "#e6c07b", "#6fb1f2", "#c591e8", "#5cc8d7", "#d5dae3")


class Style(NamedTuple):
    """How a piece of a line looks."""

    color: str = INK
    bold: bool = False
    dim: bool = False


class Frame(NamedTuple):
    """The screen at a moment, as tmux gives it: lines with escape sequences."""

    seconds: float
    lines: list[str]


class Terminal:
    """A tmux server of our own with one pane."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        environment = {"PS1": "$ ", "HOME": str(folder), "AXTUI_DATA_DIR": str(folder / "data")}
        settings = [f"{name}={value}" for name, value in environment.items()]
        shell = ["env", *settings, "TERM=xterm-256color", "bash", "--norc", "--noprofile"]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-c", str(folder), *size, *shell)

    def key(self, key: str, *, literal: bool = True) -> None:
        """Press a key."""
        self._tmux("send-keys", *(["-l"] if literal else []), "--", key)

    def screen(self, *, colored: bool = True) -> list[str]:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colored else [])).split("\n")[:ROWS]

    def close(self) -> None:
        """End the server and all in it."""
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def record(folder: Path) -> list[Frame]:
    """Play the scene, and watch."""
    for name, script in COMMANDS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "job.sh").write_text("".join(f"./{name}\n" for name in COMMANDS))
    terminal = Terminal(folder)
    frames: list[Frame] = []
    began = time.monotonic()

    def look() -> None:
        lines = terminal.screen()
        if not frames or lines != frames[-1].lines:
            frames.append(Frame(time.monotonic() - began, lines))

    try:
        time.sleep(0.5)
        for typed, shown in SCENE:
            for key in typed:
                terminal.key(key)
                time.sleep(KEY_SECONDS)
                look()
            terminal.key("Enter", literal=False)
            limit = time.monotonic() + 30
            # tmux drops the blanks at the end of a line, so one is put back behind a prompt.
            while not re.search(shown, "\n".join(terminal.screen(colored=False)).rstrip() + " "):
                if time.monotonic() > limit:
                    raise TimeoutError("\n".join([f"after {typed!r}:", *terminal.screen()]))
                time.sleep(FRAME_SECONDS)
                look()
            time.sleep(0.8)
            look()
    finally:
        terminal.close()
    return frames


def pieces(line: str, style: Style) -> Iterator[tuple[str, Style]]:
    """A line's texts, each with the style it has."""
    for text, codes in re.findall(r"([^\x1b]+)|\x1b\[([\d;]*)m", line):
        if text:
            yield text, style
            continue
        for code in map(int, (codes or "0").split(";")):
            if code == 0:
                style = Style()
            elif code in (1, 2):
                style = style._replace(bold=code == 1, dim=code == 2)
            elif code == 22:
                style = style._replace(bold=False, dim=False)
            elif 30 <= code <= 37:
                style = style._replace(color=PALETTE[code - 30])
            elif 90 <= code <= 97:
                style = style._replace(color=PALETTE[code - 90])
            elif code == 39:
                style = style._replace(color=INK)
    yield "", style


def draw(frames: list[Frame]) -> str:
    """The frames as an animated SVG."""
    total = frames[-1].seconds + LAST_SECONDS
    used = max(row for frame in frames for row, line in enumerate(frame.lines) if line) + 1
    width, height = COLUMNS * CELL + 2 * MARGIN, used * LINE + BAR + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" font-size="{SIZE}" font-family="ui-monospace,'
        "'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace\" xml:space=\"preserve\">",
        "<title>A job is killed in a terminal, and resumed without redoing what was done</title>",
        f'<rect width="100%" height="100%" rx="10" fill="{PAPER}"/>',
        *(f'<circle cx="{22 + 20 * n}" cy="20" r="6" fill="{PALETTE[n + 1]}"/>' for n in range(3)),
    ]
    for row in range(used):
        parts += _row(frames, row, total)
    return "\n".join([*parts, "</svg>", ""])


def _row(frames: list[Frame], row: int, total: float) -> Iterator[str]:
    """All that a row of the screen shows in the course of time."""
    shown: list[tuple[float, list[tuple[str, Style]]]] = []
    for frame in frames:
        cells = _styled(frame.lines)[row]
        if not shown or cells != shown[-1][1]:
            shown.append((frame.seconds, cells))
    shown[0] = (0.0, shown[0][1])
    for index, (start, cells) in enumerate(shown):
        last = index == len(shown) - 1
        if not any(text.strip() for text, _ in cells):
            continue
        end = total if last else shown[index + 1][0]
        times = ";".join(f"{moment / total:.4f}" for moment in (0, start, end))
        animate = (
            f'<animate attributeName="visibility" dur="{total:.1f}s" repeatCount="indefinite"'
            f' calcMode="discrete" values="hidden;visible;{"visible" if last else "hidden"}"'
            f' keyTimes="{times}"/>'
            if len(shown) > 1
            else ""
        )
        hidden = "" if last else ' visibility="hidden"'
        y = BAR + (row + 1) * LINE
        yield f"<g{hidden}>{animate}{''.join(_texts(cells, y))}</g>"


def _styled(lines: list[str]) -> list[list[tuple[str, Style]]]:
    # A style lasts beyond the end of its line.
    style, styled = Style(), []
    for line in [*lines, *[""] * ROWS][:ROWS]:
        *cells, (_, style) = pieces(line, style)
        styled.append(cells)
    return styled


def _texts(cells: list[tuple[str, Style]], y: float) -> Iterator[str]:
    column = 0
    for text, style in cells:
        if body := text.strip():
            x = MARGIN + CELL * (column + len(text) - len(text.lstrip()))
            look = f' fill="{style.color}"'
            look += ' font-weight="bold"' if style.bold else ""
            look += ' opacity="0.6"' if style.dim else ""
            yield (
                f'<text x="{x:.1f}" y="{y}" textLength="{len(body) * CELL:.1f}"{look}>'
                f"{escape(body)}</text>"
            )
        column += len(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(sys.argv[1]).write_text(draw(record(Path(name))))
