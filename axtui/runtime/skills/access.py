"""Reading files of a skill, and running its scripts: only what is in its folder."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from axtui.runtime.skills.loader import Skill, open_inside

MAX_READ = 256 * 1024
MAX_ARGUMENTS = 64 * 1024
MAX_FIRST_LINE = 512
_INTERPRETERS = {".py": "python3", ".sh": "sh", ".bash": "bash", ".js": "node", ".mjs": "node"}


class SkillError(Exception):
    """A skill has no such thing, or it can't be used so; the message is for whoever asked."""


def read_file(skill: Skill, relative: str) -> str:
    """The text of a file in the folder of a skill; of a long one the first 256 KiB, and a line that
    says so. Raises SkillError.
    """
    content, size = _read(skill, relative, MAX_READ)
    decoder = getincrementaldecoder("utf-8")()
    try:
        # The cut may be within a character.
        text = decoder.decode(content, final=size <= len(content))
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SkillError(f"{relative} of the skill {skill.name} is no text")
    if size > len(content):
        text += f"\n[cut here: {size - len(content)} of {size} bytes are not shown]"
    return text


def script_command(skill: Skill, script: str, arguments: Sequence[str] = ()) -> list[str]:
    """What to run for a script of a skill: as its `#!` line says, or else by its extension, or as
    a program of its own. Raises SkillError.
    """
    if PurePosixPath(script).parts[:1] != ("scripts",):
        have = ", ".join(skill.scripts) or "none"
        raise SkillError(f"{script!r} is no script of the skill {skill.name}; it has {have}")
    if sum(map(len, arguments)) > MAX_ARGUMENTS or any("\0" in word for word in arguments):
        raise SkillError(f"the arguments of {script} are longer than {MAX_ARGUMENTS}, or no text")
    content, _ = _read(skill, script, MAX_FIRST_LINE, below="scripts/")
    path = skill.path / PurePosixPath(script)
    return [*_interpreter(path, content), str(path), *arguments]


def _interpreter(path: Path, content: bytes) -> list[str]:
    if content.startswith(b"#!"):
        # All that follows the interpreter is one argument, as the kernel has it.
        line = content[2:].partition(b"\n")[0].decode(errors="replace").strip()
        if line:
            return line.split(maxsplit=1)
    if path.suffix in _INTERPRETERS:
        return [_INTERPRETERS[path.suffix]]
    if os.access(path, os.X_OK):
        return []
    known = ", ".join(_INTERPRETERS)
    raise SkillError(f"{path} has no #! line, isn't executable, and ends in none of {known}")


def _read(skill: Skill, relative: str, most: int, below: str = "") -> tuple[bytes, int]:
    """The beginning of a file of the skill, and the size of all of it."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\0" in relative:
        raise SkillError(f"{relative[:200]!r} is no path within the skill {skill.name}")
    try:
        with open_inside(skill.path, str(path), skill.status, below) as file:
            return file.read(most), os.fstat(file.fileno()).st_size
    except (OSError, UnicodeEncodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such name"
        near = get_close_matches(relative[:200], skill.files, 1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        message = f"{relative[:200]!r} of the skill {skill.name} can't be read: {why}{advice}"
        raise SkillError(message) from None
