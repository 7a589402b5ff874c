"""Finds, reads and checks the configuration file, and says all that is wrong with it at once."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

from axtui.runtime.actors.models.providers import BUILT_IN
from axtui.runtime.ax_config import translated
from axtui.runtime.config import Config, Settings
from axtui.runtime.config_values import RULE
from axtui.ui.keymaps import PRESETS, problems

if TYPE_CHECKING:
    import yaml
    from pydantic_core import ErrorDetails

    Node = yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 10_000

_LATER = {"telemetry", "eventlog.postgres"}

_TAG = "tag:yaml.org,2002:"
_TAGS = {
    *(_TAG + kind for kind in ("map", "seq", "null", "bool", "int", "float")),
    *(_TAG + kind for kind in ("str", "timestamp", "value", "merge")),  # All read as text.
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}]*))?\})?)", re.ASCII
)
_EXPECTED = {
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_BAD = object()  # Stands for a value that already has a problem of its own.

_Spot = tuple[int, int]
_At = tuple[str | int, ...]


class ConfigError(Exception):
    """The configuration can't be used, and nothing was written.

    `problems` has one line for each thing to correct, in the order of the file:
    `FILE:LINE:COLUMN: what is wrong; what to do`, both counted from 1.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(
    config_flag: str | None, data_dir_flag: str | None, environ: Mapping[str, str], cwd: Path
) -> Config:
    """The configuration in force: the first file of `config_flag`, AXTUI_CONFIG, `axtui.yaml` and
    `ax.yaml` in `cwd`, and the user's configuration folder; the defaults if there is none.

    An `ax.yaml` is Google AX's, and is read as such. Relative paths of the
    flags and the environment count from `cwd`, an absolute path; empty variables are unset ones.

    Raises ConfigError for a file that can't be used, and for a named one that is missing.
    """
    data_dir = cwd / _data_dir(data_dir_flag, environ)
    found = _find(config_flag, environ, cwd)
    if found is None:
        return Config(data_dir=data_dir)
    name, content = found
    settings = _Document(name, environ).settings(content)
    return Config(**vars(settings), data_dir=data_dir, path=cwd / os.path.expanduser(name))


def _data_dir(flag: str | None, environ: Mapping[str, str]) -> str:
    named = flag if flag is not None else environ.get("AXTUI_DATA_DIR")
    if named:
        return os.path.expanduser(named)
    import platformdirs

    return platformdirs.user_data_dir("axtui")


def _find(flag: str | None, environ: Mapping[str, str], cwd: Path) -> tuple[str, bytes] | None:
    named = flag if flag is not None else environ.get("AXTUI_CONFIG") or None
    for name in _searched() if named is None else (named,):
        try:
            return name, _read(cwd, name)
        except (OSError, ValueError) as error:
            if named is None and isinstance(error, FileNotFoundError | NotADirectoryError):
                continue
            why = getattr(error, "strerror", None) or error
            problem = f"{name}:1:1: can't be read: {why}; correct its path or its permissions"
            raise ConfigError([problem]) from None
    return None


def _searched() -> Iterator[str]:
    yield "axtui.yaml"
    yield "ax.yaml"
    import platformdirs

    yield os.path.join(platformdirs.user_config_dir("axtui"), "axtui.yaml")


def _read(cwd: Path, name: str) -> bytes:
    with open(cwd / os.path.expanduser(name), "rb") as file:
        return file.read(MAX_BYTES + 1)


class _Document:
    """One file on its way to Settings: where each key and value stands, and what is wrong."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._environ = environ
        self._keys: dict[_At, Node] = {}
        self._values: dict[_At, Node] = {}
        self._problems: list[tuple[_Spot, str]] = []

    def settings(self, content: bytes) -> Settings:
        root = self._compose(self._decode(content))
        if root is not None and os.path.basename(self._name) == "ax.yaml":
            root = translated(root, _known(()), self._environ, self._add)
        data = None if root is None else self._value(root, ())
        settings = Settings() if data is None else self._validate(data)
        if self._problems:
            raise self._error(*sorted(self._problems))
        return settings

    def _error(self, *problems: tuple[_Spot, str]) -> ConfigError:
        return ConfigError(
            [f"{self._name}:{line}:{column}: {message}" for (line, column), message in problems]
        )

    def _add(self, node: "Node", message: str) -> None:
        self._problems.append((_spot(node.start_mark), message))

    def _decode(self, content: bytes) -> str:
        if len(content) > MAX_BYTES:
            raise self._error(((1, 1), f"larger than {MAX_BYTES} bytes; make the file smaller"))
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            spot = _end(error.object[: error.start].decode())
            raise self._error((spot, "not UTF-8 text; save the file as UTF-8")) from None

    def _compose(self, text: str) -> "Node | None":
        import yaml

        try:
            loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            problem = f"the character {text[error.position]!r} is not allowed; remove it"
            raise self._error((_end(text[: error.position]), problem)) from None
        mark = None
        try:
            return cast("Node | None", loader.get_single_node())
        except RecursionError:
            problem = f"nested deeper than {MAX_DEPTH} levels; make it flatter"
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            problem = ", ".join(filter(None, (error.context, error.problem)))
            problem = f"not YAML: {problem}; check quotes, brackets and indentation here"
        except (ValueError, OverflowError):
            # PyYAML converts the numbers of escapes and directives unchecked.
            problem = "not YAML: a number is too large; check the escapes here"
        raise self._error((_spot(mark or loader.get_mark()), problem))

    def _value(self, node: "Node", at: _At) -> Any:
        self._values[at] = node
        if len(at) > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels; make it flatter"
            raise self._error((_spot(node.start_mark), problem))
        if len(self._values) > MAX_VALUES:
            problem = f"more than {MAX_VALUES} values, aliases included; make the file smaller"
            raise self._error((_spot(node.start_mark), problem))
        if node.tag not in _TAGS:
            self._add(node, f"the tag {_quoted(node.tag)} is not supported; remove it")
            return _BAD
        if node.id == "mapping":
            return self._mapping(node, at)
        if node.id == "sequence":
            return [self._value(child, (*at, index)) for index, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: "Node", at: _At) -> dict[str, Any]:
        found = {}
        for key, child in node.value:
            if key.id != "scalar" or _SURROGATE.search(key.value):
                self._add(key, "a key has to be text; write it as such")
                continue
            if key.tag == _TAG + "merge":
                self._add(key, "merge keys are not supported; write the merged keys out")
                continue
            here = (*at, key.value)
            if here in self._keys:
                line = self._keys[here].start_mark.line + 1
                problem = f"duplicate key {_quoted(key.value)}, first on line {line}; keep one"
                self._add(key, problem)
                continue
            self._keys[here] = key
            value = self._value(child, here)
            # A section of which every line is commented out is its defaults. A rule is not.
            if value is not None or len(here) > 2 or key.value not in _known(at):
                found[key.value] = value
        return found

    def _scalar(self, node: "Node") -> Any:
        text: str = node.value
        try:
            match node.tag.removeprefix(_TAG):
                case "null":
                    return None
                case "bool":
                    return text.lower() in ("true", "yes", "on")
                case "int":
                    return int(text, 0)
                case "float":
                    return float(text)
        except ValueError:
            return text
        return self._filled(node)

    def _filled(self, node: "Node") -> Any:
        filled, end = "", 0
        for match in _VARIABLE.finditer(node.value):
            name, default = match["name"], match["default"]
            value = "$" if match["dollar"] else self._environ.get(name or "")
            if default is not None:
                value = value or default
            if value is None:
                problem = f"the variable {name} is not set; set it or write ${{{name}:-default}}"
                if not name:
                    problem = "'${' names no variable; write ${NAME}, ${NAME:-default} or $$ for $"
                self._add(node, problem)
                return _BAD
            filled += node.value[end : match.start()] + value
            end = match.end()
        filled += node.value[end:]
        if _SURROGATE.search(filled):
            self._add(node, f"{_shown(node)} is not valid Unicode; correct it")
            return _BAD
        return filled

    def _validate(self, data: Any) -> Settings:
        from pydantic import TypeAdapter, ValidationError

        self._check_agent_ids(data)
        self._check_models(data)
        self._check_rules(_mapping(_mapping(data, "policy"), "approve"))
        self._check_keys(_mapping(data, "ui"))
        try:
            return TypeAdapter(Settings).validate_python(data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._explain(detail)
            return Settings()

    def _check_agent_ids(self, data: Any) -> None:
        agents = data.get("agents") if isinstance(data, dict) else None
        first: dict[str, int] = {}
        for index, agent in enumerate(agents if isinstance(agents, list) else ()):
            identity = agent.get("id") if isinstance(agent, dict) else None
            if not isinstance(identity, str):
                continue
            node = self._values["agents", index, "id"]
            if identity in first:
                problem = f"duplicate agent id {_quoted(node.value)}, first on line "
                self._add(node, f"{problem}{first[identity]}; choose another")
            first.setdefault(identity, node.start_mark.line + 1)

    def _check_models(self, data: Any) -> None:
        models = _mapping(data, "models")
        providers = _mapping(models, "providers")
        for name, provider in providers.items():
            for key in ("kind", "base_url"):
                moved = name in BUILT_IN and name != "local"
                if not moved and isinstance(provider, dict) and provider.get(key) is None:
                    at = ("models", "providers", name)
                    self._add(self._keys[at], f"{key!r} is missing{_inside((*at, key))}; add it")
        default = models.get("default")
        name = default.partition(":")[0] if isinstance(default, str) and ":" in default else ""
        if name and name not in {**BUILT_IN, **providers}:
            node, known = self._values["models", "default"], [*BUILT_IN, *providers]
            problem = f"expected a model of a known provider, got {_shown(node)}"
            self._add(node, f"{problem}; {_advice(name, known)}")

    def _check_rules(self, rules: dict[str, Any]) -> None:
        for pattern in rules:
            if not RULE.fullmatch(pattern):
                node = self._keys["policy", "approve", pattern]
                expected = "expected AGENT/TOOL(ARGUMENT), of which only TOOL is needed"
                self._add(node, f"{expected}, got {_shown(node)}")

    def _check_keys(self, ui: dict[str, Any]) -> None:
        keys, preset = _mapping({"keys": ui.get("keys")}, "keys"), ui.get("keymap", "default")
        texts = {name: value for name, value in keys.items() if isinstance(value, str)}
        if preset in PRESETS:
            for problem in problems(preset, texts):
                self._add(self._keys["ui", "keys", problem.id], problem.text)

    def _explain(self, detail: "ErrorDetails") -> None:
        at, kind = detail["loc"], detail["type"]
        if kind == "unexpected_keyword_argument":
            self._add(self._keys[at], _unknown(at))
        elif kind == "missing":
            self._add(self._values[at[:-1]], f"{at[-1]!r} is missing{_inside(at)}; add it")
        elif detail["input"] is not _BAD:
            of_key = at[-1:] == ("[key]",)
            while at not in self._values:
                at = at[:-1]
            node = self._keys[at] if of_key else self._values[at]
            context = detail.get("ctx", {})
            expected = _EXPECTED.get(kind) or context.get("expected") or context.get("error")
            problem = f"expected {expected}" if expected else detail["msg"]
            self._add(node, f"{problem}, got {_shown(node)}")


def _known(at: _At) -> list[str]:
    """The keys of the section at `at`; none if there is no such section."""
    kind: Any = Settings
    for part in at:
        if is_dataclass(kind):
            kind = get_type_hints(kind).get(str(part))
        else:
            kind = (get_args(kind) or (None,))[0 if isinstance(part, int) else -1]
        if isinstance(kind, UnionType):
            kind = get_args(kind)[0]
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


def _unknown(at: _At) -> str:
    *section, key = at
    if ".".join(part for part in at if isinstance(part, str)) in _LATER:
        return f"{key!r}{_inside(at)} is not supported by this version of axtui"
    advice = _advice(str(key), _known(tuple(section)))
    return f"unknown key {_quoted(str(key))}{_inside(at)}; {advice}"


def _mapping(data: Any, key: str) -> dict[str, Any]:
    """The mapping at `key`; empty where there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _advice(wrong: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(wrong[:80], known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


def _inside(at: _At) -> str:
    """In which section the last part of `at` is: " in agents[0]"; nothing at the top."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in at[:-1]]
    return f" in {''.join(parts).removeprefix('.')}" if parts else ""


def _shown(node: "Node") -> str:
    """The value as the file has it, so that nothing from the environment is shown."""
    if node.id != "scalar":
        return "a list" if node.id == "sequence" else "a mapping"
    match node.tag.removeprefix(_TAG):
        case "null":
            return "nothing"
        case "int" | "float":
            return f"the number {_quoted(node.value)[1:-1]}"
        case "bool":
            return f"the truth value {_quoted(node.value)[1:-1]}"
    return f"the text {_quoted(node.value)}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _spot(mark: Any) -> _Spot:
    return mark.line + 1, mark.column + 1


def _end(text: str) -> _Spot:
    return text.count("\n") + 1, len(text) - text.rfind("\n")
