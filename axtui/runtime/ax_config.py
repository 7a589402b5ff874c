"""The configuration of Google AX, an `ax.yaml`, as ours.

It is rewritten as YAML nodes, so that whatever is wrong with it is told at its place in the file.
Keys that change nothing of what AX's protocol promises (telemetry, deployment) are passed over;
those that can't be honoured, and would be missed, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import yaml

    Node: TypeAlias = yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode
    Pair: TypeAlias = tuple[Node, Node]

Complain = Callable[["Node", str], None]

# Where in ours a value of AX's goes.
_PLACES = {
    ("server", "address"): ("server", "address"),
    ("eventlog", "sqlite", "filename"): ("eventlog", "sqlite", "filename"),
    ("planner", "gemini", "temperature"): ("planner", "temperature"),
    ("planner", "gemini", "max_tokens"): ("planner", "max_tokens"),
    ("planner", "gemini", "timeout"): ("planner", "timeout"),
    ("planner", "gemini", "system_prompt"): ("planner", "system_prompt"),
}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^{}]*))?\}", re.ASCII)
_LIMITED = "in this version of axtui; leave it out"
_NOT_SENT = ("auth", "headers")


def translated(
    root: Node, known: Collection[str], environ: Mapping[str, str], complain: Complain
) -> Node:
    """What `root` says, as our configuration does, of whose sections `known` are there."""
    ours = _mapping(root)
    for theirs, place in _PLACES.items():
        pair = _at(root, theirs)
        if pair is not None and place[0] in known:
            _put(ours, place, pair)
    if (model := _at(root, ("planner", "gemini", "model"))) is not None:
        _put(ours, ("planner", "model"), (model[0], _of_gemini(model[1])))
    if (skills := _at(root, ("planner", "gemini", "skills_dir"))) is not None:
        _put(ours, ("skills", "paths"), (skills[0], _sequence(skills[1], [skills[1]])))
    dsn = _at(root, ("eventlog", "postgres", "dsn"))
    # Where its variables aren't set, AX keeps its log in SQLite.
    if dsn is not None and _VARIABLE.sub(lambda found: _set(found, environ), dsn[1].value):
        complain(dsn[0], f"a log in PostgreSQL isn't supported {_LIMITED}")
    agents = _at(root, ("registry", "remote_agents"))
    if agents is not None and agents[1].id == "sequence":
        entries = [_agent(entry, complain) for entry in agents[1].value]
        _put(ours, ("agents",), (agents[0], _sequence(agents[1], entries)))
    return ours


def _agent(entry: Node, complain: Complain) -> Node:
    """An agent of AX's registry. AX speaks its own protocol with those that say nothing of it."""
    if entry.id != "mapping":
        return entry
    ours = _mapping(entry)
    found = {key.value: (key, value) for key, value in _pairs(entry)}
    for name in ("id", "address"):
        if name in found:
            _put(ours, (name,), found[name])
    described = found.get("description") or found.get("name")
    if described is not None:
        _put(ours, ("description",), described)
    protocol = found.get("protocol") or (entry, _scalar(entry, "ax"))
    if protocol[1].value == "a2a":
        complain(protocol[1], f"an agent that speaks a2a can't be called {_LIMITED}")
        protocol = (entry, _scalar(entry, "ax"))
    _put(ours, ("protocol",), protocol)
    for name in _NOT_SENT:
        if name in found and found[name][1].value:
            complain(found[name][0], f"{name!r} of an agent can't be sent {_LIMITED}")
    return ours


def _set(found: re.Match[str], environ: Mapping[str, str]) -> str:
    return environ.get(found["name"]) or found["default"] or ""


def _of_gemini(model: Node) -> Node:
    """The name of a model, with its provider."""
    if model.id != "scalar" or ":" in model.value:
        return model
    return _scalar(model, f"gemini:{model.value}")


def _at(node: Node, path: tuple[str, ...]) -> Pair | None:
    """The key and the value at `path`."""
    for key, value in _pairs(node):
        if key.value == path[0]:
            return (key, value) if len(path) == 1 else _at(value, path[1:])
    return None


def _pairs(node: Node) -> Iterator[Pair]:
    if node.id == "mapping":
        yield from node.value


def _put(ours: Node, path: tuple[str, ...], pair: Pair) -> None:
    """Have `pair`'s value at `path` of a mapping, and be found where it is in the file."""
    name, *rest = path
    section = next((value for key, value in ours.value if key.value == name), None)
    if not rest:
        ours.value.append((_scalar(pair[0], name), pair[1]))
        return
    if section is None:
        section = _mapping(pair[0])
        ours.value.append((_scalar(pair[0], name), section))
    _put(section, tuple(rest), pair)


def _mapping(place: Node) -> Node:
    import yaml

    return yaml.MappingNode("tag:yaml.org,2002:map", [], place.start_mark, place.end_mark)


def _sequence(place: Node, entries: list[Node]) -> Node:
    import yaml

    return yaml.SequenceNode("tag:yaml.org,2002:seq", entries, place.start_mark, place.end_mark)


def _scalar(place: Node, text: str) -> Node:
    import yaml

    return yaml.ScalarNode("tag:yaml.org,2002:str", text, place.start_mark, place.end_mark)
