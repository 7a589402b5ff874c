"""What a disk may hold after a power cut: all that was synced, and any part of the rest.

`Disk` follows a trace that trace.c has made. A file keeps what it held at its last sync; of what
was written since, each sector of 512 bytes may or may not be there, and may be torn. The name of a
new file is there for certain once its folder was synced.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
_HEAD = struct.Struct("<ciqII")
_FOLDER = -1


class Record(NamedTuple):
    """Something that was done to a file or a folder."""

    what: str
    thread: int
    offset: int
    path: str
    data: bytes


def read_trace(path: Path) -> Iterator[Record]:
    """The records of a trace, in order."""
    trace = path.read_bytes()
    at = 0
    while at < len(trace):
        what, thread, offset, path_length, data_length = _HEAD.unpack_from(trace, at)
        at += _HEAD.size
        name = trace[at : at + path_length].decode()
        at += path_length
        yield Record(what.decode(), thread, offset, name, trace[at : at + data_length])
        at += data_length


class _Write(NamedTuple):
    offset: int
    data: bytes | None  # None is a cut at the offset; an offset of -1 is the file's end


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Write] = field(default_factory=list)


class _Naming(NamedTuple):
    """A change of a folder: a name comes to mean a file, and another goes."""

    added: str
    file: int
    removed: str


class Disk:
    """The files of a trace as far as it has been followed."""

    def __init__(self) -> None:
        self._files: list[_File] = []
        self._names: dict[str, int] = {}
        self._durable_names: dict[str, int] = {}
        self._namings: dict[str, list[_Naming]] = {}
        self._marks: dict[tuple[int, str], int] = {}
        self.syncs = 0

    def follow(self, record: Record) -> None:
        """Take one record."""
        path = record.path
        if record.what == "C":
            self._files.append(_File())
            self._name(_Naming(path, len(self._files) - 1, ""))
        elif record.what == "M":
            self._name(_Naming(path, _FOLDER, ""))
        elif record.what == "U":
            self._name(_Naming("", 0, path))
        elif record.what == "R":
            self._name(_Naming(record.data.decode(), self._names[path], path))
        elif record.what == "B":
            self._marks[record.thread, path] = len(self._unsynced(path))
        elif record.what == "S":
            self._sync(path, self._marks.pop((record.thread, path)))
        elif path in self._names:
            # Else it is a file that has no name any more.
            data = None if record.what == "T" else record.data
            self._files[self._names[path]].pending.append(_Write(record.offset, data))

    def _name(self, naming: _Naming) -> None:
        folder = str(Path(naming.added or naming.removed).parent)
        self._namings.setdefault(folder, []).append(naming)
        _rename(self._names, naming)

    def _unsynced(self, path: str) -> list[_Naming] | list[_Write]:
        number = self._names.get(path, _FOLDER)
        if number == _FOLDER:
            return self._namings.setdefault(path, [])
        return self._files[number].pending

    def _sync(self, path: str, count: int) -> None:
        self.syncs += 1
        number = self._names.get(path, _FOLDER)
        if number == _FOLDER:
            namings = self._namings[path]
            for naming in namings[:count]:
                _rename(self._durable_names, naming)
            del namings[:count]
            return
        file = self._files[number]
        for write in file.pending[:count]:
            _put(file.durable, write)
        del file.pending[:count]

    def nothing_more(self, below: Path) -> dict[str, bytes]:
        """The files below a folder, with only what was synced."""
        return {
            path: bytes(self._files[number].durable)
            for path, number in self._durable_names.items()
            if self._is_there(path, number, self._durable_names, below)
        }

    def everything(self, below: Path) -> dict[str, bytes]:
        """The files below a folder, as the processes saw them."""
        found = {}
        for path, number in self._names.items():
            if self._is_there(path, number, self._names, below):
                content = bytearray(self._files[number].durable)
                for write in self._files[number].pending:
                    _put(content, write)
                found[path] = bytes(content)
        return found

    def torn(self, below: Path, chance: random.Random) -> dict[str, bytes]:
        """The files below a folder, with a random part of what wasn't synced."""
        names = dict(self._durable_names)
        for namings in self._namings.values():
            # A file system keeps the order of the changes of one folder.
            for naming in namings[: chance.randint(0, len(namings))]:
                _rename(names, naming)
        share = chance.choice((0.1, 0.5, 0.9))
        found = {}
        for path, number in sorted(names.items()):
            if self._is_there(path, number, names, below):
                content = bytearray(self._files[number].durable)
                for write in self._files[number].pending:
                    _tear(content, write, share, chance)
                found[path] = bytes(content)
        return found

    def _is_there(self, path: str, number: int, names: dict[str, int], below: Path) -> bool:
        if number == _FOLDER or below not in Path(path).parents:
            return False
        # A file in a folder whose own name was lost is lost as well. What was there before the
        # trace began has no record.
        return all(
            str(folder) in names or str(folder) not in self._names for folder in Path(path).parents
        )


def _rename(names: dict[str, int], naming: _Naming) -> None:
    if naming.removed:
        names.pop(naming.removed, None)
    if naming.added:
        names[naming.added] = naming.file


def _put(content: bytearray, write: _Write) -> None:
    data = write.data
    offset = len(content) if write.offset < 0 else write.offset
    if data is None:
        del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _tear(content: bytearray, write: _Write, share: float, chance: random.Random) -> None:
    """Let each sector of a write reach the disk, or not; a few hold garbage."""
    offset, data = write
    if data is None or offset < 0:
        if chance.random() < share:
            _put(content, write)
        return
    at = 0
    while at < len(data):
        size = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
        fate = chance.random()
        if fate < 0.02:
            _put(content, _Write(offset + at, chance.randbytes(size)))
        elif fate < share:
            _put(content, _Write(offset + at, data[at : at + size]))
        at += size
