"""Reads a SKILL.md: the YAML in front, checked against the format, and the text behind it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import yaml

    Node = yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode

MAX_NAME = 64
MAX_DESCRIPTION = 1024
MAX_COMPATIBILITY = 500
MAX_FRONT_MATTER = 16 * 1024
MAX_DEPTH = 16
MAX_FAULTS = 50
# Beyond it a name can't be told a model as one of several.
MAX_USABLE_NAME = 128

_FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
_FENCE = re.compile(r"^---[ \t]*$", re.M)
_SURROGATE = re.compile("[\ud800-\udfff]")
_AMBIGUOUS = re.compile("---|[\x85\u2028\u2029]")
_ENTRY = re.compile(r"(?P<key>[\w-]+:[ \t]+)(?P<value>[^\s'\"|>\[{&*!#%@`].*)", re.S)
_COLON = re.compile(r":(?:\s|$)")

Value = str | list[str] | dict[str, str]


class Fault(NamedTuple):
    """Something in a SKILL.md that isn't as the format has it. With one that is `fatal` the skill
    can't be used; what any other means is that some programs won't take it.
    """

    line: int
    message: str
    fatal: bool = False


@dataclass(frozen=True)
class SkillFile:
    """What a SKILL.md says."""

    name: str
    description: str
    body: str
    license: str = ""
    compatibility: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    allowed_tools: tuple[str, ...] = ()


class Unreadable(Exception):
    """There is no way to go on with a file after this."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(line, message, fatal=True)


def read(text: str, folder: str) -> tuple[SkillFile | None, list[Fault]]:
    """What the text of a SKILL.md in the folder of that name says, and all that is wrong with it.

    None where a skill can't do without what is wrong.
    """
    reader = _Reader(folder)
    found = None
    try:
        found = reader.read(text)
    except Unreadable as error:
        reader.faults.append(error.fault)
    faults = sorted(reader.faults, key=lambda fault: not fault.fatal)[:MAX_FAULTS]
    return (None if faults and faults[0].fatal else found), sorted(faults)


class _Reader:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lines: dict[str, int] = {}
        self._values: dict[str, Value] = {}
        self.faults: list[Fault] = []

    def read(self, text: str) -> SkillFile:
        front, body = self._split(text)
        self._take(self._parse(front))
        tools = self._values.get("allowed-tools", "")
        metadata = self._values.get("metadata", {})
        found = SkillFile(
            name=self._name(),
            description=self._description(),
            body=body.strip(),
            license=self._text("license"),
            compatibility=self._compatibility(),
            metadata=metadata if isinstance(metadata, dict) else {},
            allowed_tools=tuple(tools.split() if isinstance(tools, str) else tools),
        )
        if tools and not isinstance(tools, str):
            self._fault("allowed-tools", "'allowed-tools' has to be one text; put spaces between")
        if metadata and not isinstance(metadata, dict):
            self._fault("metadata", "'metadata' has to be a mapping of texts to texts")
        return found

    def _fault(self, key: str, message: str, fatal: bool = False) -> None:
        self.faults.append(Fault(self._lines.get(key, 1), message, fatal))

    # YAML

    def _split(self, text: str) -> tuple[str, str]:
        """The front matter, in which lines count as in the file, and the body."""
        if text.startswith("\ufeff"):
            text = text[1:]
            self.faults.append(Fault(1, "begins with a byte order mark; save it without"))
        start = _FENCE.match(text)
        if not start:
            raise Unreadable(1, "has no front matter; it has to begin with a line '---'")
        end = _FENCE.search(text, start.end())
        if not end:
            raise Unreadable(1, "the front matter has no end; close it with a line '---'")
        if end.start() > MAX_FRONT_MATTER:
            raise Unreadable(1, f"the front matter is longer than {MAX_FRONT_MATTER} characters")
        front = text[start.end() : end.start()]
        if match := _AMBIGUOUS.search(front):
            line = front[: match.start()].count("\n") + 1
            what = f"{match[0]!r} ends the line or the front matter for some programs"
            self.faults.append(Fault(line, what))
        return front, text[end.end() :]

    def _parse(self, front: str) -> Node | None:
        try:
            root, faults = _compose(front)
        except Unreadable as error:
            quoted = _quote_colons(front)
            if quoted == front:
                raise
            try:
                root, faults = _compose(quoted)
            except Unreadable:
                raise error from None
            message = "a value with a colon and a space in it has to be quoted"
            self.faults.append(Fault(error.fault.line, message))
        self.faults += faults
        return root

    def _take(self, root: Node | None) -> None:
        import yaml

        if not isinstance(root, yaml.MappingNode):
            raise Unreadable(1, "the front matter has to be a mapping, such as 'name: my-skill'")
        for key_node, value_node in root.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or a mapping"
            if key not in _FIELDS:
                message = f"unknown field {key[:80]!r}; there are {', '.join(_FIELDS)}"
                self.faults.append(Fault(line, message))
            elif key in self._lines:
                message = f"{key!r} is there twice, first on line {self._lines[key]}; keep one"
                self.faults.append(Fault(line, message))
            else:
                self._lines[key] = line
                self._values[key] = self._value(value_node)

    def _value(self, node: Node) -> Value:
        if node.id == "scalar":
            return cast(str, node.value)
        if node.id == "sequence":
            return [item.value for item in self._scalars(node.value)]
        found: dict[str, str] = {}
        for key, value in node.value:
            if len([*self._scalars([key, value])]) < 2:
                continue
            if key.value in found:
                message = f"{key.value[:80]!r} is there twice; keep one"
                self.faults.append(Fault(key.start_mark.line + 1, message))
            found.setdefault(key.value, value.value)
        return found

    def _scalars(self, nodes: list[Node]) -> Iterator[Node]:
        for node in nodes:
            if node.id == "scalar":
                yield node
            else:
                line = node.start_mark.line + 1
                self.faults.append(Fault(line, "a text is expected here; it is left out"))

    # Fields

    def _required(self, key: str) -> str:
        value = self._values.get(key)
        if value is None:
            self._fault(key, f"{key!r} is missing; add it", fatal=True)
        elif not isinstance(value, str):
            self._fault(key, f"{key!r} has to be a text", fatal=True)
        elif not value.strip():
            self._fault(key, f"{key!r} is empty", fatal=True)
        else:
            return value
        return ""

    def _name(self) -> str:
        name = unicodedata.normalize("NFKC", self._required("name").strip())
        if not name:
            return name
        shown = repr(name[:80])
        if len(name) > MAX_USABLE_NAME or not name.isprintable():
            self._fault("name", f"the name {shown} can't be used", fatal=True)
        if len(name) > MAX_NAME:
            self._fault("name", f"the name has {len(name)} characters, {MAX_NAME} are allowed")
        if name != name.lower() or not all(char.isalnum() or char == "-" for char in name):
            what = "has to be of small letters, figures and hyphens"
            self._fault("name", f"the name {shown} {what}")
        if name.startswith("-") or name.endswith("-") or "--" in name:
            what = "can't begin or end with a hyphen, or have two together"
            self._fault("name", f"the name {shown} {what}")
        if name != unicodedata.normalize("NFKC", self._folder):
            self._fault("name", f"the name {shown} isn't that of the folder, {self._folder!r}")
        return name

    def _description(self) -> str:
        description = self._required("description")
        if len(description) > MAX_DESCRIPTION:
            what = f"has {len(description)} characters, {MAX_DESCRIPTION} are allowed"
            self._fault("description", f"the description {what}")
        return description.strip()

    def _compatibility(self) -> str:
        compatibility = self._text("compatibility")
        if "compatibility" in self._lines and not 1 <= len(compatibility) <= MAX_COMPATIBILITY:
            what = f"has {len(compatibility)} characters, 1 to {MAX_COMPATIBILITY} are allowed"
            self._fault("compatibility", f"'compatibility' {what}")
        return compatibility

    def _text(self, key: str) -> str:
        value = self._values.get(key, "")
        if isinstance(value, str):
            return value
        self._fault(key, f"{key!r} has to be a text")
        return ""


def _compose(front: str) -> tuple[Node | None, list[Fault]]:
    """What YAML makes of it, and what in it isn't read by all programs."""
    import yaml

    try:
        faults = list(_check_style(front))
        return cast("Node | None", yaml.compose(front, yaml.SafeLoader)), faults
    except yaml.reader.ReaderError as error:
        line = front[: error.position].count("\n") + 1
        raise Unreadable(line, f"the character {front[error.position]!r} isn't allowed") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Unreadable(line, f"not YAML: {error.problem}") from None
    except (ValueError, OverflowError):
        # PyYAML converts the numbers of escapes and directives unchecked.
        raise Unreadable(1, "not YAML: a number is too large") from None


def _check_style(front: str) -> Iterator[Fault]:
    """The format's own validator reads less than all of YAML, as other programs may."""
    import yaml

    depth = 0
    for token in yaml.scan(front, yaml.SafeLoader):
        line = token.start_mark.line + 1
        name = type(token).__name__
        # Both the scanner and the composer take long, or too much of the stack, for deep nesting.
        if name.startswith(("Block", "Flow")):
            depth += name.endswith("StartToken") - name.endswith("EndToken")
        if depth > MAX_DEPTH:
            raise Unreadable(line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(token, yaml.ScalarToken) and _SURROGATE.search(token.value):
            raise Unreadable(line, "an escape in this text is no valid Unicode")
        if name in ("FlowMappingStartToken", "FlowSequenceStartToken"):
            yield Fault(line, "brackets aren't read by every program; write a line for each")
        elif name in ("AnchorToken", "AliasToken", "TagToken"):
            what = "anchors, aliases and tags aren't read by every program; write it out"
            yield Fault(line, what)


def _quote_colons(front: str) -> str:
    """The front matter with quotes around top-level values that only lack those."""
    entries: list[str] = []
    for line in re.findall(r".*\n|.+", front):
        if entries and (line[:1].isspace() or not line.strip()):
            entries[-1] += line
        else:
            entries.append(line)
    return "".join(map(_quote_colon, entries))


def _quote_colon(entry: str) -> str:
    match = _ENTRY.fullmatch(entry)
    if not match or not _COLON.search(match["value"]):
        return entry
    value = match["value"].rstrip()
    rest = match["value"][len(value) :]
    return match["key"] + "'" + value.replace("'", "''") + "'" + rest
