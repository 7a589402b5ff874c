"""What the README, the pages in docs/ and the examples show is what happens.

In a page, a fenced block marked `console` is a session: the lines that begin with `$ ` are run in
bash, in a folder and a data directory of the page's own; what follows each is what it has to print,
`…` standing for anything. `# exit status N` behind a command says that it ends with another than 0.
A block under `<!-- file: NAME -->` is a file in that folder. `<!-- models: SCRIPT -->`, which no
reader sees, is what models say on that page, see tests/providers.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests import providers
from tests.providers.process import serving

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.M | re.S
)
_MODELS = re.compile(r"^<!-- models:\n(.*?)^-->$", re.M | re.S)
# What is said on a machine without a sandbox, and on one that is slow.
_WARNING = re.compile(r"^(axtui: warning: |Waiting for ).*\n", re.M)
_STATUS = re.compile(r"\s+# exit status (\d+)$")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


class Command(NamedTuple):
    """One command of a session, and what it has to do."""

    line: str
    status: int
    output: str


def _session(body: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        line, _, output = part.partition("\n")
        status = _STATUS.search(line)
        yield Command(_STATUS.sub("", line), int(status[1]) if status else 0, output)


def _pattern(output: str) -> re.Pattern[str]:
    lines = []
    for line in output.splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.escape(line.rstrip()).replace("…", ".*?") + r"\s*?\n")
    return re.compile("".join(lines))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As a user has it who has just installed axtui."""
    left_out = re.compile("AXTUI_.*|.*_API_KEY|.*_BASE_URL|XDG_(DATA|CONFIG)_HOME|NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not left_out.fullmatch(name)}
    home = tmp_path / "home"
    home.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "HOME": str(home), "PATH": path}


def _run(command: Command, folder: Path, environment: dict[str, str]) -> None:
    if command.line.startswith("timeout ") and shutil.which("timeout") is None:
        pytest.skip("there is no `timeout` here, as on macOS")
    done = subprocess.run(
        ["bash", "-c", command.line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    # How wide a column is depends on what is in it.
    shown = _WARNING.sub("", done.stdout)
    narrow, wanted = (re.sub(" {2,}", "  ", text) for text in (shown, command.output))
    if status != command.status or not _pattern(wanted).fullmatch(narrow):
        pytest.fail(f"$ {command.line}\n{done.stdout}[{status}]\nbut shown as\n{command.output}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_happens(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    text = page.read_text()
    with ExitStack() as servers:
        if script := _MODELS.search(text):
            url = servers.enter_context(serving(json.loads(script[1]), tmp_path))
            environment |= providers.environment(url)
        for block in _BLOCK.finditer(text):
            if block["file"]:
                (folder / block["file"]).write_text(block["body"])
            elif block["kind"] == "console":
                for command in _session(block["body"]):
                    _run(command, folder, environment)
            elif block["kind"] == "python":
                compile(block["body"], f"{page}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_picture_shows_a_run_that_survives() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "cast.svg")
    shown = [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    for words in ("--resume", "running (no controller)", "completed"):
        assert any(words in text for text in shown)


def test_every_page_is_linked() -> None:
    linked = {
        (page.parent / link).resolve() for page in PAGES for link in _LINK.findall(page.read_text())
    }
    decisions = ROOT / "docs" / "decisions"
    pages = [page for page in PAGES[1:] if decisions not in page.parents or decisions not in linked]
    assert [page for page in pages if page not in linked] == []


def test_the_ten_line_agent_is_the_example() -> None:
    blocks = {block["file"]: block["body"] for block in _BLOCK.finditer(PAGES[0].read_text())}
    assert blocks["greeter.py"] == (EXAMPLES / "greeter.py").read_text()


def test_the_agent_elsewhere_is_the_example() -> None:
    text = (ROOT / "docs" / "agents.md").read_text()
    blocks = {block["file"]: block["body"] for block in _BLOCK.finditer(text)}
    assert blocks["remote_agent.py"] == (EXAMPLES / "remote_agent.py").read_text()


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A folder with the examples in it."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for source in (*EXAMPLES.glob("*.py"), EXAMPLES / "axtui.yaml"):
        (folder / source.name).write_text(source.read_text())
    return folder


def test_the_greeter_asks_first_and_counts_its_guests(
    examples: Path, environment: dict[str, str]
) -> None:
    for line, status, output in (
        ("axtui exec --agent greeter --input Ada --approve deny", 0, "…\nAnother time, then.\n…\n"),
        ("axtui exec --agent greeter --input Ada --approve all", 0, "…\nHello Ada, guest 1.\n…\n"),
        ("cat guests.txt", 0, "Ada\n"),
    ):
        _run(Command(line, status, output), examples, environment)


def test_the_word_counts_survive_a_file_that_cannot_be_read(
    examples: Path, environment: dict[str, str]
) -> None:
    for number in range(4):
        (examples / f"{number}.txt").write_text("the sea " * (number + 1))
    (examples / "a folder.txt").mkdir()
    start = "axtui exec --agent word_counts --conversation w --input '*.txt' --agent-config "
    start += """'{"top": 1, "report": "words"}'"""
    report = (
        "0.txt: 2 words\n1.txt: 4 words\n2.txt: 6 words\n3.txt: 8 words\n"
        "a folder.txt: Is a directory\n    10 the\n"
    )
    for line, status, output in (
        ("axtui exec --agent echo --input hello", 0, "…\n"),
        (start, 3, f"Conversation: w\n5 files to read\n{report}…\n"),
        ("axtui events w --kind step.failed | wc -l", 0, "3\n"),
        ("axtui approve w", 0, "…\n"),
        ("axtui exec --conversation w --resume", 0, "Conversation: w\nwords has 6 lines.\nseq=…\n"),
        ("cat words", 0, report),
        ("axtui verify w", 0, "…\n"),
    ):
        _run(Command(line, status, output), examples, environment)
