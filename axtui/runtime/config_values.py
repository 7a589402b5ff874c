"""The kinds of values that a configuration holds, and how a file's author is told of a wrong one.

Start-up without a file has to be instant, so nothing here imports pydantic: the types only carry
what pydantic needs to check a file against them.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

Verdict = Literal["allow", "ask", "deny"]

MAX_SECONDS = 36_500 * 86_400.0
MAX_STEPS = 1_000_000_000
MAX_TOKENS = 1_000_000_000_000
MAX_DOLLARS = 1_000_000.0
MAX_AGENT_ID = 128
MAX_CHARACTERS = 1 << 24
MAX_PROCESSES = 100_000
MAX_CALLS = 1_000_000
MAX_BYTES = 1 << 50
MAX_MESSAGE = 1 << 30
# What is kept of a command's output has to fit into an event, written out as JSON.
MAX_OUTPUT = 8 << 20

# AGENT/TOOL(ARGUMENT), as `policy.approve` has it.
RULE = re.compile(r"(?:([^/()]+)/)?([^/()]+)(?:\((.*)\))?", re.DOTALL)

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in _UNITS))


def parse_duration(text: str) -> float:
    """Seconds in a duration: a plain number of them ("90", "0.5"), or amounts with the units
    d, h, m, s and ms, the largest first ("1h30m", "250ms"). Zero is a duration.

    Raises ValueError, whose message can be shown, for anything else and beyond `MAX_SECONDS`.
    """
    if re.fullmatch(_NUMBER, text):
        seconds = float(text)
    elif text and (match := _DURATION.fullmatch(text)):
        amounts = zip(match.groups(default="0"), _UNITS.values(), strict=True)
        seconds = sum(float(amount) * unit for amount, unit in amounts)
    else:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 5m, 1h30m or 250ms")
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text!r} is too long; a duration is at most {MAX_SECONDS:.0f}s")
    return seconds


def parse_size(text: str) -> int:
    """Bytes in a size: a plain number of them, or one with a unit: K, M, G and T, or KiB and so on,
    each 1024 times the one before ("512K", "1.5GiB").

    Raises ValueError for anything else.
    """
    match = re.fullmatch(rf"{_NUMBER}([KMGT](?:iB)?)?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write it like 4096, 512K or 1.5GiB")
    return int(float(match[1]) * 1024 ** " KMGT".index((match[2] or " ")[0]))


@dataclass(frozen=True)
class _Check:
    """How pydantic reads a field: `read` turns what the file says into its value or raises
    ValueError, and `expected` tells the author of the file what belongs there.
    """

    expected: str
    read: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self._checked)

    def _checked(self, value: Any) -> object:
        # The value may be a secret from the environment, so the reader's own words are dropped.
        try:
            return self.read(value)
        except ValueError:
            raise ValueError(self.expected) from None


def _seconds(value: Any) -> float:
    seconds = parse_duration(str(value))
    if not seconds:
        raise ValueError
    return seconds


def _count(most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        count = int(str(value))
        if not 1 <= count <= most:
            raise ValueError
        return count

    return read


def _size(most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        size = parse_size(str(value))
        if not 1 <= size <= most:
            raise ValueError
        return size

    return read


def _dollars(value: Any) -> float:
    dollars = float(str(value))
    if not 0 < dollars <= MAX_DOLLARS:
        raise ValueError
    return dollars


def _temperature(value: Any) -> float:
    temperature = float(str(value))
    if not 0 <= temperature <= 2:
        raise ValueError
    return temperature


def _agent_id(value: Any) -> str:
    if not isinstance(value, str) or value.split() != [value] or not value.isprintable():
        raise ValueError
    if len(value) > MAX_AGENT_ID:
        raise ValueError
    return value


def _server_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Za-z0-9_-]{1,64}", value):
        raise ValueError
    return value


def _address(value: Any) -> str:
    match = re.fullmatch(
        r"unix:[^\0]+|(?:[\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})", str(value), re.ASCII
    )
    if not isinstance(value, str) or not match or not 1 <= int(match[1] or 1) <= 65_535:
        raise ValueError
    return value


def _protocol(value: Any) -> str:
    # The last is what AX itself calls it.
    known = {"axtui": "axtui", "ax": "ax", "ax-harness": "ax-harness", "axp": "ax"}
    if not isinstance(value, str) or value not in known:
        raise ValueError
    return known[value]


def _token_hash(value: Any) -> str:
    digits = str(value).removeprefix("sha256:").lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError
    return digits


def _moment(value: Any) -> str:
    datetime.fromisoformat(str(value))
    return str(value)


def _listen_address(value: Any) -> str:
    split_address(str(value))
    return str(value)


def split_address(text: str) -> tuple[str, int]:
    """Host and port of an address, `[…]` around an IPv6 one; of "unix:PATH" the whole and 0.

    Raises ValueError, whose message can be shown.
    """
    if text.startswith("unix:") and len(text) > len("unix:") and text.isprintable():
        return text, 0
    match = re.fullmatch(r"(\*|[\w.-]*|\[[\da-fA-F:.]+(?:%\w+)?\]):(\d{1,5})", text, re.ASCII)
    if not match or int(match[2]) > 65_535:
        raise ValueError(f"{text[:80]!r} is no address; write HOST:PORT, [IPV6]:PORT or unix:PATH")
    return match[1], int(match[2])


def _reference(value: Any) -> str:
    module, _, name = str(value).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError
    return str(value)


def _variables(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w*?\[\]!-]{1,128}", value, re.ASCII):
        raise ValueError
    return value


def _file_path(value: Any) -> str:
    path = os.path.expanduser(value) if isinstance(value, str) else ""
    if not path or path.startswith("~") or "\0" in path:
        raise ValueError
    return path


def _model(value: Any) -> str:
    provider, _, name = str(value).partition(":")
    if not isinstance(value, str) or not provider or not name or value.split() != [value]:
        raise ValueError
    return value


def _url(value: Any) -> str:
    scheme, _, rest = str(value).partition("://")
    if scheme not in ("http", "https") or not rest or str(value).split() != [value]:
        raise ValueError
    return str(value)


def _folder_path(value: Any) -> str:
    path = _file_path(value)
    if not os.path.isabs(path):
        raise ValueError
    return os.path.normpath(path)


def _variable_name(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", str(value), re.ASCII):
        raise ValueError
    return str(value)


Seconds = Annotated[
    float, _Check("a number of seconds above zero or a duration such as '90s' or '1h30m'", _seconds)
]
Steps = Annotated[int, _Check(f"a whole number from 1 to {MAX_STEPS}", _count(MAX_STEPS))]
Tokens = Annotated[int, _Check(f"a whole number from 1 to {MAX_TOKENS}", _count(MAX_TOKENS))]
Dollars = Annotated[float, _Check(f"a number above zero, at most {MAX_DOLLARS:.0f}", _dollars)]
Temperature = Annotated[float, _Check("a number from 0 to 2", _temperature)]
Characters = Annotated[
    int, _Check(f"a whole number from 1 to {MAX_CHARACTERS}", _count(MAX_CHARACTERS))
]
Processes = Annotated[
    int, _Check(f"a whole number from 1 to {MAX_PROCESSES}", _count(MAX_PROCESSES))
]
Calls = Annotated[int, _Check(f"a whole number from 1 to {MAX_CALLS}", _count(MAX_CALLS))]
MessageSize = Annotated[int, _Check("a size of at most 1GiB, such as 4M", _size(MAX_MESSAGE))]
TokenHash = Annotated[str, _Check("the SHA-256 of a token: 64 hex digits", _token_hash)]
Moment = Annotated[str, _Check("a time such as 2027-01-31 or 2027-01-31T12:00:00Z", _moment)]
ListenAddress = Annotated[
    str, _Check("an address such as 127.0.0.1:8494, [::1]:8494 or unix:PATH", _listen_address)
]
Size = Annotated[
    int, _Check("a number of bytes or a size such as 512K or 1.5GiB", _size(MAX_BYTES))
]
OutputSize = Annotated[int, _Check("a size of at most 8MiB, such as 64K", _size(MAX_OUTPUT))]
AgentId = Annotated[str, _Check(f"text without spaces, 1 to {MAX_AGENT_ID} characters", _agent_id)]
ServerName = Annotated[
    str, _Check("a name of letters, digits, '-' and '_', 1 to 64 characters", _server_name)
]
Address = Annotated[
    str, _Check("the address of a server: 'host:port', '[IPv6]:port' or 'unix:PATH'", _address)
]
Protocol = Annotated[
    Literal["axtui", "ax", "ax-harness"],
    _Check("axtui, ax or ax-harness (not a2a or acp in this version)", _protocol),
]
PythonName = Annotated[str, _Check("text of the form 'module:object'", _reference)]
FilePath = Annotated[str, _Check("the path of a file", _file_path)]
FolderPath = Annotated[str, _Check("the path of a folder", _file_path)]
AbsoluteFolder = Annotated[str, _Check("the path of a folder, from / or ~ on", _folder_path)]
VariableName = Annotated[str, _Check("the name of an environment variable", _variable_name)]
VariableGlob = Annotated[
    str, _Check("the name of an environment variable, with * for any part of it", _variables)
]
ModelName = Annotated[str, _Check("text of the form 'provider:model'", _model)]
Url = Annotated[str, _Check("a URL that begins with http:// or https://", _url)]
