"""Finds skills, and reads them: what can be used, what can't and why."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from errno import EINVAL, EPERM
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from axtui.runtime.actors.confined import Outside, find
from axtui.runtime.skills.front_matter import Fault, SkillFile, read

MAX_DEPTH = 4
MAX_FOLDERS = 2_000
MAX_BYTES = 1024 * 1024
MAX_FILES = 1_000
MAX_BYTES_IN_ALL = 64 * 1024 * 1024

_PLACES = (Path(".axtui", "skills"), Path(".agents", "skills"))
_NAMES = ("SKILL.md", "skill.md")
_NOT_LOOKED_INTO = frozenset({"node_modules", "__pycache__"})
_NOT_PART = frozenset({".git", "__pycache__"})
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Skill(SkillFile):
    """A skill that can be used, as it was when it was read.

    `path` is its folder, and `status` says which one that was; `files` are relative to that,
    sorted, without its SKILL.md; `digest` is the SHA-256 in hex over the names and contents of all
    of them.
    """

    path: Path = Path()
    status: os.stat_result | None = field(default=None, repr=False, compare=False)
    files: tuple[str, ...] = ()
    digest: str = ""

    @property
    def scripts(self) -> tuple[str, ...]:
        """The files that may be run."""
        return tuple(name for name in self.files if name.startswith("scripts/"))


class Problem(NamedTuple):
    """What is wrong, and where: `line` counts from 1, 0 means the file as a whole."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{where}: {self.message}"


@dataclass(frozen=True)
class Found:
    """A folder that has, or should have, a skill in it.

    `skill` is None if it can't be used, and `problems` say why; those of a skill that can be are
    warnings. `shadowed_by` is the folder of an earlier skill of the same name, which is used
    instead.
    """

    path: Path
    skill: Skill | None = None
    problems: tuple[Problem, ...] = ()
    shadowed_by: Path | None = None


def find_skills(paths: Sequence[Path], folder: Path, home: Path) -> list[Found]:
    """All skills, those that win first: in `paths`, then in the places that a project has for them
    in its `folder`, and a person in `home`.
    """
    places = [base / place for base in (folder, home) for place in _PLACES]
    found: list[Found] = []
    winners: dict[str, Path] = {}
    seen: set[str] = set()
    for path in paths:
        if not os.path.isdir(path):
            found.append(_lost(path, "there is no such folder; correct skills.paths"))
    for root in (*paths, *places):
        for item in _scan(root, seen):
            if item.skill:
                winner = winners.setdefault(item.skill.name, item.path)
                if winner != item.path:
                    item = replace(item, shadowed_by=winner)
            found.append(item)
    return found


def usable(found: Iterable[Found]) -> dict[str, Skill]:
    """The skills that a model is offered, by name."""
    return {item.skill.name: item.skill for item in found if item.skill and not item.shadowed_by}


def validate(path: Path) -> list[Problem]:
    """All that isn't as the format has it in the skill in a folder, which its SKILL.md may stand
    for; nothing is wrong with one that every program takes.
    """
    path = Path(os.path.abspath(path))
    if path.name in _NAMES and path.is_file():
        path = path.parent
    if not os.path.isdir(path):
        what = "isn't a folder" if os.path.lexists(path) else "there is no such folder"
        return [Problem(path, 0, what)]
    return list(load(path).problems)


def load(path: Path) -> Found:
    """The skill in a folder."""
    file = _skill_file(path)
    if file is None:
        return _lost(path, f"has no {_NAMES[0]}")
    try:
        status = os.stat(path)
        said, faults = read(_text(path, file, status), path.name)
        files, digest, left_out = _contents(path, status)
    except OSError as error:
        return _lost(path, f"can't be read: {error.strerror}")
    except _Unusable as error:
        return Found(path, problems=(error.problem,))
    if file.name != _NAMES[0]:
        faults.insert(0, Fault(0, f"its name has to be {_NAMES[0]}"))
    problems = (*(Problem(file, fault.line, fault.message) for fault in faults), *left_out)
    if said is None:
        return Found(path, problems=problems)
    others = tuple(name for name in files if name != file.name)
    return Found(
        path, Skill(**vars(said), path=path, status=status, files=others, digest=digest), problems
    )


class _Unusable(Exception):
    def __init__(self, path: Path, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.problem = Problem(path, line, message)


def _lost(path: Path, message: str) -> Found:
    return Found(path, problems=(Problem(path, 0, message),))


def _scan(root: Path, seen: set[str]) -> Iterator[Found]:
    todo = [(root, 0)]
    count = 0
    while todo:
        folder, depth = todo.pop()
        real = os.path.realpath(folder)
        # However it is reached, through links say, a folder is looked at once.
        if real in seen or not os.path.isdir(real):
            continue
        seen.add(real)
        count += 1
        if count > MAX_FOLDERS:
            yield _lost(root, f"has more than {MAX_FOLDERS} folders; the rest was not looked at")
            return
        if _skill_file(folder):
            yield load(folder)
        elif depth < MAX_DEPTH:
            try:
                names = sorted(os.listdir(folder), reverse=True)
            except OSError as error:
                yield _lost(folder, f"can't be read: {error.strerror}")
                continue
            looked_into = (n for n in names if n[0] != "." and n not in _NOT_LOOKED_INTO)
            todo += [(folder / name, depth + 1) for name in looked_into]


def _skill_file(folder: Path) -> Path | None:
    # A link that leads nowhere is one too: it is told about.
    return next((folder / name for name in _NAMES if os.path.lexists(folder / name)), None)


def _text(folder: Path, path: Path, status: os.stat_result) -> str:
    try:
        with open_inside(folder, path.name, status) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _Unusable(path, f"can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise _Unusable(path, f"larger than {MAX_BYTES} bytes; move what is not always needed out")
    try:
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _Unusable(path, "not UTF-8 text; save the file as UTF-8", line) from None


def _contents(folder: Path, status: os.stat_result) -> tuple[list[str], str, list[Problem]]:
    """The files of a skill, the digest of the lines that `sha256sum` prints for them, and what
    isn't among them.
    """
    files: list[str] = []
    left_out: list[Problem] = []
    digest, size = sha256(), 0
    for name in sorted(path.relative_to(folder).as_posix() for path in _paths(folder)):
        path = folder / name
        content = sha256()
        try:
            line = f"  {name}\n".encode()
            with open_inside(folder, name, status) as file:
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
                    size += len(chunk)
                    if size > MAX_BYTES_IN_ALL:
                        raise _Unusable(folder, f"has more than {MAX_BYTES_IN_ALL} bytes in all")
        except (OSError, UnicodeEncodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "its name isn't UTF-8"
            left_out.append(Problem(path, 0, f"left out: {why}"))
        else:
            files.append(name)
            digest.update(content.hexdigest().encode() + line)
    return files, digest.hexdigest(), left_out


def _paths(folder: Path) -> list[Path]:
    """Everything below a folder but folders; links are not followed."""
    paths: list[Path] = []
    count = 0
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if name not in _NOT_PART]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        paths += (Path(parent, name) for name in (*names, *links))
        count += len(names) + len(folders)
        if count > MAX_FILES:
            raise _Unusable(folder, f"has more than {MAX_FILES} files and folders; use fewer")
    return paths


def _refuse(error: OSError) -> NoReturn:
    raise _Unusable(Path(error.filename), f"can't be read: {error.strerror}")


def open_inside(
    folder: Path, path: str, status: os.stat_result | None, below: str = ""
) -> BinaryIO:
    """A regular file of a skill in its folder, links within that followed. Raises OSError, also for
    a link that leads out of it, or elsewhere than to what begins with `below`, and if it is another
    folder by now than that of the `status`.
    """
    try:
        with find(str(folder), path, known=status) as place:
            if not place.path.startswith(below):
                raise Outside
            # A pipe would keep whoever opens it waiting.
            file = place.open(os.O_RDONLY | os.O_NONBLOCK)
    except Outside:
        raise PermissionError(EPERM, "it isn't in the skill's folder", path) from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(EINVAL, "it isn't a regular file", path)
    return os.fdopen(file, "rb")
