"""The terminal UI in a real terminal: tmux."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.eventlog.lease import holder

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
SECONDS = 60.0
_DONE = "THE SHELL IS BACK"


class Terminal:
    """A tmux server of our own, with one window in which `axtui` runs in a shell."""

    def __init__(self, folder: Path, socket: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self._tmux = ["tmux", "-L", socket, "-f", os.devnull]

    def start(self, *options: str, width: int = 120, height: int = 36, **env: str) -> None:
        """Run the UI."""
        words = [sys.executable, "-m", "axtui", "--data-dir", str(self.data_dir), *options]
        settings = [f"{name}={value}" for name, value in env.items()]
        command = " ".join(map(_quoted, ["env", *settings, *words])) + f"; echo {_DONE}; cat"
        size = ["-x", str(width), "-y", str(height)]
        self("new-session", "-d", *size, "-c", str(self.folder), command)

    def __call__(self, *arguments: str) -> str:
        """A command of tmux; what it prints."""
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self("send-keys", "-l", text)

    def text(self) -> str:
        """What is on the screen."""
        return self("capture-pane", "-p")

    def until(self, *texts: str) -> str:
        """What is on the screen once all texts are."""
        return self.wait(lambda shown: all(text in shown for text in texts), str(texts))

    def wait(self, holds: Callable[[str], Any], what: str) -> str:
        """What is on the screen once something holds of it."""
        end = time.monotonic() + SECONDS
        while not holds(shown := self.text()):
            assert time.monotonic() < end, f"{what} never came:\n{shown}"
            time.sleep(0.05)
        return shown

    def pid(self) -> int:
        """The process of the UI."""
        shell = self("display-message", "-p", "#{pane_pid}").strip()
        return int(subprocess.check_output(["pgrep", "-P", shell], text=True).split()[0])

    def axtui(self, *arguments: str) -> str:
        """A command on the same log; what it prints."""
        command = [sys.executable, "-m", "axtui", *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=self.folder).stdout

    def listed(self) -> list[dict[str, Any]]:
        """The conversations."""
        return [json.loads(line) for line in self.axtui("list", "--output", "json").splitlines()]

    def close(self) -> None:
        """End everything, what runs in the background too."""
        with suppress(subprocess.CalledProcessError):
            self("kill-server")
        pid = holder(self.data_dir / "log.db")[0]
        if pid:
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + SECONDS
        while holder(self.data_dir / "log.db")[0]:
            assert time.monotonic() < end
            time.sleep(0.02)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


@pytest.fixture
def terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Terminal]:
    """A terminal in which nothing runs yet."""
    for name in ("TMUX", "TMUX_PANE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    terminal = Terminal(tmp_path, f"axtui-{os.getpid()}-{abs(hash(request.node.nodeid))}")
    yield terminal
    terminal.close()


def start_run(terminal: Terminal, agent: str, text: str) -> None:
    """By the dialog, with keys alone."""
    terminal.press("c")
    terminal.until("new run")
    terminal.type(text)
    terminal.wait(lambda shown: "looking" not in shown, "the agents")
    terminal.press("BTab")
    terminal.press("Enter")
    terminal.until(f"{agent}  ")
    # A list goes to what is typed.
    terminal.type(agent)
    terminal.press("Enter")
    terminal.wait(lambda shown: "▲" not in shown, "a choice")
    terminal.press("C-s")
    terminal.until("F2 timeline")


def made(terminal: Terminal, *arguments: str) -> None:
    """A run that was before."""
    terminal.axtui("exec", "--agent", *arguments)


def test_a_run_is_started_and_watched_to_its_end(terminal: Terminal) -> None:
    terminal.start()
    terminal.until("no runs yet")
    start_run(terminal, "echo", "hello from a person")
    terminal.until("run.completed")
    assert [found["state"] for found in terminal.listed()] == ["completed"]


def test_a_question_is_answered(terminal: Terminal) -> None:
    terminal.axtui("exec", "--agent", "demo", "--input", "go", "--agent-config", '{"speed": 0}')
    terminal.start()
    terminal.until("1 waiting")
    terminal.press("a")
    terminal.until("Publish the page?", "y approve")
    terminal.wait(lambda shown: "armed in" not in shown, "armed")
    terminal.press("y")
    terminal.wait(lambda shown: "1 waiting" not in shown, "an answer")
    terminal.press("q")
    terminal.until("✓ completed")


def test_a_run_is_paused_resumed_and_canceled(terminal: Terminal) -> None:
    command = ["exec", "--detach", "--agent", "shell", "--input", "sleep 0.1\n" * 2000]
    terminal.axtui(*command, "--agent-config", '{"idempotent": true}')
    terminal.start()
    terminal.until("● running")
    terminal.press("P")
    terminal.until("⏸ paused")
    terminal.press("R")
    terminal.until("● running")
    terminal.press("x")
    terminal.until("Cancel the run", "y yes")
    terminal.press("Enter")
    terminal.press("y")
    terminal.until("⊘ canceled")
    assert terminal.listed()[0]["state"] == "canceled"


def test_a_run_is_forked_at_an_event(terminal: Terminal) -> None:
    made(terminal, "shell", "--input", "echo one\necho two")
    terminal.start()
    terminal.until("✓ completed")
    terminal.press("Enter")
    terminal.until("run.completed")
    terminal.press("g", "j", "j", "j")
    terminal.until("#4 step.completed")
    terminal.press("f")
    terminal.until("after event", "4")
    terminal.press("C-s")
    terminal.until("forked as")
    forks = [found for found in terminal.listed() if found["parent_id"]]
    assert [found["parent_seq"] for found in forks] == [4]


def test_events_are_filtered_and_looked_into(terminal: Terminal) -> None:
    made(terminal, "shell", "--input", "echo one\necho two")
    terminal.start()
    terminal.until("✓ completed")
    terminal.press("Enter")
    terminal.until("run.completed")
    terminal.press("/")
    terminal.type("kind:step.completed")
    terminal.press("Enter")
    terminal.wait(lambda shown: "step.started" not in shown.split("inspector")[0], "the filter")
    terminal.press("Escape")
    terminal.until("run.started")


def test_commands_are_typed(terminal: Terminal) -> None:
    made(terminal, "echo", "--input", "hello", "--conversation", "named")
    terminal.start()
    terminal.until("✓ completed")
    terminal.press(":")
    terminal.type("run named")
    terminal.press("Enter")
    terminal.until("F2 timeline", "run.completed")
    terminal.press("Y")
    terminal.until("copied `axtui events named", "--data-dir")
    terminal.press(":")
    terminal.type("quit")
    terminal.press("Enter")
    terminal.until(_DONE)


def test_the_help_is_made_of_what_can_be_done(terminal: Terminal) -> None:
    terminal.start()
    terminal.until("no runs yet")
    terminal.press("?")
    terminal.until("Start a run")
    terminal.press("Escape")
    terminal.until("no runs yet")


def test_the_screen_is_as_it_was_when_it_ends(terminal: Terminal) -> None:
    terminal.start()
    terminal.until("no runs yet")
    terminal.press("q")
    shown = terminal.until(_DONE)
    assert shown.strip() == _DONE
    assert terminal("display-message", "-p", "#{alternate_on}").strip() == "0"


def test_a_run_goes_on_though_the_terminal_is_killed(terminal: Terminal) -> None:
    terminal.start()
    terminal.until("no runs yet")
    start_run(terminal, "shell", "sleep 1; echo one; sleep 1; echo two")
    terminal.until("step.started")
    os.kill(terminal.pid(), signal.SIGKILL)
    terminal.until(_DONE)
    end = time.monotonic() + SECONDS
    while terminal.listed()[0]["state"] != "completed":
        assert time.monotonic() < end
        time.sleep(0.1)


def test_any_size_will_do(terminal: Terminal) -> None:
    made(terminal, "shell", "--input", "echo one")
    terminal.start()
    terminal.until("✓ completed")
    terminal.press("Enter")
    terminal.until("run.completed")
    for width, height in ((200, 60), (20, 5), (1, 1), (60, 18), (20, 40), (120, 36)):
        terminal("resize-window", "-x", str(width), "-y", str(height))
    terminal.until("F2 timeline", "run.completed")
    terminal.press("q")
    terminal.until("✓ completed")


def test_nothing_that_a_tool_puts_out_is_obeyed(terminal: Terminal) -> None:
    made(terminal, "shell", "--input", r"printf '\033]2;pwned\007\033[2J\033[31mred\033[5;5H'")
    terminal.start()
    terminal.until("✓ completed")
    terminal.press("Enter")
    terminal.until("run.completed")
    terminal.press("g", "j", "j", "j")
    terminal.until("#4 step.completed", "red")
    assert "pwned" not in terminal("display-message", "-p", "#{pane_title}")


def test_without_color_and_with_ascii_alone(terminal: Terminal) -> None:
    made(terminal, "echo", "--input", "hello")
    terminal.start("--ascii", NO_COLOR="1")
    shown = terminal.until("+ completed")
    assert shown.isascii()
    drawn = terminal("capture-pane", "-p", "-e")
    assert "\x1b[38;2" not in drawn or _is_gray(drawn)


def _is_gray(drawn: str) -> bool:
    colors = [part.split("m")[0].split(";")[:3] for part in drawn.split("\x1b[38;2;")[1:]]
    return all(len(set(color)) == 1 for color in colors)
