"""What models do with files: reading, writing, editing and listing those of a workspace."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from difflib import Match, SequenceMatcher, unified_diff
from fnmatch import fnmatchcase
from itertools import accumulate, islice
from typing import Any

from axtui.agent import ToolError
from axtui.runtime.actors.confined import MAX_DEPTH, Outside, Place, find

MAX_FILE = 8 * 1024 * 1024
MAX_TEXT = 128 * 1024
MAX_LINES = 2000
MAX_LISTED = 1000
MAX_VISITED = 100_000
MAX_DIFFED_LINES = 5000
MAX_DIFF_STEPS = 2_000_000
MAX_DIFF_LINES = 400
MAX_DIFF_LINE = 500


class _NotThere(ToolError):
    """There is nothing of that name."""


class Workspace:
    """The files of one workspace folder; nothing else can be reached through it.

    What is in `hidden`, absolute paths, is out of reach as well. Everything raises ToolError, with
    a message by which a model can correct its call.
    """

    def __init__(self, folder: str, hidden: Sequence[str] = ()) -> None:
        self._folder = os.path.abspath(folder)
        real = os.path.realpath(folder)
        inside = [os.path.relpath(os.path.realpath(path), real) for path in hidden]
        self._hidden = [path for path in inside if path != "." and path.split("/")[0] != ".."]

    def read_file(self, path: str, start_line: int = 1, lines: int = MAX_LINES) -> str:
        """Some lines of a text file, and a note below them if there are more."""
        with self._find(path) as place:
            text = _text(_read(place, path), path, errors="replace")
        found = _lines(text)
        if not found:
            return "[the file is empty]"
        if not 1 <= start_line <= len(found):
            raise ToolError(f"{path} has the lines 1 to {len(found)}; there is no {start_line}")
        wanted = found[start_line - 1 : start_line - 1 + min(max(1, lines), MAX_LINES)]
        shown, size = [], 0
        for line in wanted:
            size += len(line)
            if size > MAX_TEXT:
                break
            shown.append(line)
        if not shown:
            cut = f"[line {start_line} is cut: it has {len(wanted[0]):,} characters]"
            return f"{wanted[0][:MAX_TEXT]}\n{cut}"
        last = start_line - 1 + len(shown)
        more = "" if last == len(found) else f"; go on with start_line={last + 1}"
        whole = start_line == 1 and not more
        note = "" if whole else f"[lines {start_line} to {last} of {len(found)}{more}]"
        return "".join(shown) + note

    def write_file(self, path: str, content: str) -> str:
        """Make a file, with the folders it is in, or replace what is in it."""
        with self._find(path, make_folders=True) as place:
            before = _status(place, path)
            _replace(place, _encoded(content, path), before)
        done = "made" if before is None else "replaced"
        return f"{done} {path}: {len(_lines(content))} lines"

    def edit_file(self, path: str, old: str, new: str) -> str:
        """Put `new` in the place of the one occurrence of `old`."""
        with self._find(path) as place:
            before, after, line = self._edited(place, path, old, new)
            _replace(place, _encoded(after, path), _status(place, path))
        changed = len(_lines(after)) - len(_lines(before))
        return f"changed {path} at line {line}; it has {changed:+} lines now"

    def list_files(self, path: str = ".", pattern: str = "") -> str:
        """What is in a folder or, with a pattern, the files in it and below that fit."""
        with self._find(path) as place:
            try:
                folder = place.open(os.O_RDONLY | os.O_DIRECTORY)
            except NotADirectoryError:
                raise ToolError(f"{path} is a file, not a folder; read_file reads it") from None
            try:
                names = _below(folder, pattern) if pattern else _in(folder)
                names = (name for name in names if not self._is_hidden(_joined(place.path, name)))
                found = [_joined(place.path, name) for name in islice(names, MAX_LISTED + 1)]
            finally:
                os.close(folder)
        if len(found) > MAX_LISTED:
            found[MAX_LISTED:] = [f"[there are more than {MAX_LISTED}; ask for less at a time]"]
        return "\n".join(map(_shown, found)) or "[there is nothing]"

    def diff(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """What a call of write_file or edit_file would change now: a unified diff, or a line where
        that would be too long. Empty for other tools."""
        path = str(arguments.get("path", ""))
        if tool == "edit_file":
            with self._find(path) as place:
                old, new = str(arguments.get("old", "")), str(arguments.get("new", ""))
                before, after, _ = self._edited(place, path, old, new)
        elif tool == "write_file":
            after = str(arguments.get("content", ""))
            try:
                with self._find(path) as place:
                    there = _status(place, path)
                    before = _text(_read(place, path), path, errors="replace") if there else ""
            except _NotThere:
                before = ""
        else:
            return ""
        return _diff(path, before, after)

    @contextlib.contextmanager
    def _find(self, path: str, *, make_folders: bool = False) -> Iterator[Place]:
        try:
            with find(self._folder, path, self._hidden, make_folders=make_folders) as place:
                yield place
        except Outside as error:
            raise ToolError(f"{error}; only files in the workspace can be reached") from None
        except FileNotFoundError:
            raise _NotThere(f"there is no {path}; list_files shows what there is") from None
        except (OSError, ValueError) as error:
            raise ToolError(f"{path}: {getattr(error, 'strerror', None) or error}") from None

    def _is_hidden(self, path: str) -> bool:
        return any(path == one or path.startswith(f"{one}/") for one in self._hidden)

    def _edited(self, place: Place, path: str, old: str, new: str) -> tuple[str, str, int]:
        """The text before and after an edit, and the line where it begins."""
        before = _text(_read(place, path), path, errors="strict")
        if not old:
            raise ToolError("`old` is empty: give the text that is to be replaced")
        if old == new:
            raise ToolError("`old` and `new` are the same: there is nothing to change")
        if old not in before and "\r\n" in before:
            old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
        count = before.count(old)
        if count == 0:
            raise ToolError(f"`old` isn't in {path}{_nearly(before, old)}; read the file again")
        starts = _starts(before, old)
        if count > 1:
            named = ", ".join(map(str, starts))
            raise ToolError(
                f"`old` is in {path} {count} times, at lines {named}{', …' if count > 5 else ''}; "
                "add lines around it to say which is meant"
            )
        return before, before.replace(old, new), starts[0]


def _read(place: Place, path: str) -> bytes:
    # Not to wait for whoever is at the other end of a pipe.
    with os.fdopen(place.open(os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ToolError(f"{path} is no file that can be read")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ToolError(
            f"{path} is longer than {MAX_FILE:,} bytes; look at parts of it with the tool shell"
        )
    return data


def _text(data: bytes, path: str, errors: str) -> str:
    if b"\0" in data:
        raise ToolError(f"{path} is no text: it has {len(data):,} bytes, zeros among them")
    try:
        return data.decode(errors=errors)
    except UnicodeDecodeError:
        raise ToolError(f"{path} isn't UTF-8 text, so it can't be edited") from None


def _encoded(text: str, path: str) -> bytes:
    data = text.encode()
    if len(data) > MAX_FILE:
        raise ToolError(f"that is more than the {MAX_FILE:,} bytes that can be written to {path}")
    return data


def _status(place: Place, path: str) -> os.stat_result | None:
    """What there is to be replaced; None if nothing is there."""
    try:
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{path} is no file that can be written")
    return status


def _replace(place: Place, data: bytes, before: os.stat_result | None) -> None:
    """Put a file in its place all at once, with the mode and the owner of the one before."""
    name = f".axtui-{secrets.token_hex(8)}"
    folder = place.folder
    file = Place(folder, name, name).open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(file, "wb") as writing:
            if before is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(file, before.st_uid, before.st_gid)
                os.fchmod(file, before.st_mode & 0o777)
            writing.write(data)
            writing.flush()
            os.fsync(file)
        os.rename(name, place.name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def _in(folder: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = [f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name for e in entries]
    yield from sorted(found)


def _below(folder: int, pattern: str) -> Iterator[str]:
    """Files whose name fits or, if the pattern has a slash, whose path from the folder on does."""
    visited = 0
    for path, folders, files, _ in os.fwalk(".", dir_fd=folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        if folders and path.count("/") == MAX_DEPTH:
            raise ToolError(
                f"there are folders more than {MAX_DEPTH} deep; begin at a deeper `path`"
            )
        visited += len(folders)
        for name in sorted(files):
            visited += 1
            whole = _joined(path.removeprefix(".").lstrip("/"), name)
            if fnmatchcase(whole if "/" in pattern else name, pattern.removeprefix("./")):
                yield whole
        if visited > MAX_VISITED:
            raise ToolError(f"there are more than {MAX_VISITED:,} files; begin at a deeper `path`")


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _shown(name: str) -> str:
    """A name as text, though it be none."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _starts(text: str, part: str) -> list[int]:
    """The lines in which the first five occurrences begin."""
    starts: list[int] = []
    at = text.find(part)
    while at >= 0 and len(starts) < 5:
        starts.append(text.count("\n", 0, at) + 1)
        at = text.find(part, at + len(part))
    return starts


def _nearly(text: str, old: str) -> str:
    """A word on the line that was perhaps meant."""
    wanted = next((line.strip() for line in old.split("\n") if line.strip()), "")
    for number, line in enumerate(text.split("\n"), start=1):
        if wanted and line.strip() == wanted:
            return f" as it is written, though its first line is like line {number}: {line[:200]!r}"
    return ""


def _diff(path: str, before: str, after: str) -> str:
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > MAX_DIFFED_LINES or _takes_long(old, new):
        return f"{path}: {len(old):,} lines become {len(new):,}, too many to compare"
    lines = list(unified_diff(old, new, f"a/{path}", f"b/{path}"))
    told = [line.rstrip("\n") for line in lines[:MAX_DIFF_LINES]]
    told = [line if len(line) <= MAX_DIFF_LINE else f"{line[:MAX_DIFF_LINE]}…" for line in told]
    if len(lines) > MAX_DIFF_LINES:
        told.append(f"[{len(lines) - MAX_DIFF_LINES:,} more lines of the diff]")
    return "\n".join(told)


class _TooManySteps(Exception):
    """Two texts take too long to compare."""


class _Hurried(SequenceMatcher[str]):
    """Raises _TooManySteps instead of comparing for long."""

    b2j: dict[str, list[int]]

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__(None, old, new)
        # At each line it goes through all those that are the same.
        steps = (1 + len(self.b2j.get(line, ())) for line in old)
        self._steps = list(accumulate(steps, initial=0))
        self._left = MAX_DIFF_STEPS

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> Match:
        self._left -= self._steps[-1 if ahi is None else ahi] - self._steps[alo]
        if self._left < 0:
            raise _TooManySteps
        return super().find_longest_match(alo, ahi, blo, bhi)


def _takes_long(old: list[str], new: list[str]) -> bool:
    # Where lines are repeated, a bound on their number alone would allow for minutes.
    try:
        _Hurried(old, new).get_matching_blocks()
    except _TooManySteps:
        return True
    return False
