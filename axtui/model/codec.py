"""Readable JSON of events: what `--output json` prints and `export` writes beside the bytes.

Empty fields are left out. `Data` appears as the JSON value it holds, inside a message's content as
text, and as `{"blob": DIGEST, "size": …, "preview": …}` where it is a blob. A value that could be
taken for a blob is wrapped: `{"inline": VALUE}`. Bytes are hex.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from axtui.model.events import PAYLOAD_TYPES, Payload, payload_of
from axtui.v1 import event_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOB_KEYS = {"blob", "size", "preview"}
_INLINE_KEYS = {"inline"}
_SCALARS: dict[int, type] = {
    FieldDescriptor.TYPE_BYTES: str,
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BOOL: bool,
}
_WORDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number", bool: "a bool"}
T = TypeVar("T")


class CodecError(ValueError):
    """JSON that doesn't fit the payload it is meant for."""


def format_time(time_us: int) -> str:
    """RFC 3339 in UTC with microseconds; outside the years 1 to 9999 the bare number."""
    try:
        moment = _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return f"{time_us} µs"
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def event_to_json(event: pb.Event) -> dict[str, Any]:
    """The event as plain values. A payload of a kind unknown here has an empty `data`."""
    payload = payload_of(event)
    result: dict[str, Any] = {
        "conversation_id": event.conversation_id,
        "seq": event.seq,
        "exec_id": event.exec_id,
        "time": format_time(event.time_us),
        "actor": event.actor,
        "kind": event.kind,
        "data": {} if payload is None else message_to_json(payload),
    }
    for name in ("principal", "request_id", "edited_from"):
        if value := getattr(event, name):
            result[name] = value
    return result


def message_to_json(message: Message) -> dict[str, Any]:
    """Any of our messages as plain values."""
    as_text = isinstance(message, pb.Content)
    return {
        field.name: _field_to_json(field, value, as_text) for field, value in message.ListFields()
    }


def _field_to_json(field: FieldDescriptor, value: Any, as_text: bool) -> Any:
    if _is_map(field):
        return {str(key): _value_to_json(item, as_text) for key, item in sorted(value.items())}
    if field.is_repeated:
        return [_value_to_json(item, as_text) for item in value]
    return _value_to_json(value, as_text)


def _value_to_json(value: Any, as_text: bool) -> Any:
    if isinstance(value, pb.Data):
        return _data_to_json(value, as_text)
    if isinstance(value, Message):
        return message_to_json(value)
    return value.hex() if isinstance(value, bytes) else value


def _data_to_json(data: pb.Data, as_text: bool) -> Any:
    if data.HasField("blob"):
        blob = data.blob
        return {"blob": blob.digest.hex(), "size": blob.size, "preview": blob.preview}
    if as_text:
        return data.text
    try:
        value = load_json(data.text)
    except (ValueError, RecursionError):
        # Nothing here writes such a thing, but whatever is in a log can be shown.
        return data.text
    return {"inline": value} if _looks_special(value) else value


def _looks_special(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() in (_BLOB_KEYS, _INLINE_KEYS)


def payload_from_json(kind: str, data: dict[str, Any]) -> Payload:
    """The payload that `event_to_json` showed as `data`. Raises CodecError where it doesn't fit."""
    cls = PAYLOAD_TYPES.get(kind)
    if cls is None:
        raise CodecError(f"{kind!r} is no kind of event that this version of axtui knows")
    payload: Payload = cls()
    _fill(payload, data, kind)
    return payload


def _fill(message: Message, values: Any, where: str) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in _expect(dict, values, where).items():
        field = fields.get(name)
        if field is None:
            known = ", ".join(sorted(fields))
            raise CodecError(f"{where}: no field {name!r}; there are {known}")
        try:
            _set_field(message, field, value, f"{where}.{name}")
        except (TypeError, ValueError, RecursionError) as error:
            if isinstance(error, CodecError):
                raise
            raise CodecError(f"{where}.{name}: {error}") from None


def _set_field(message: Message, field: Any, value: Any, where: str) -> None:
    as_text = isinstance(message, pb.Content)
    target = getattr(message, field.name)
    if _is_map(field):
        # All our maps hold messages.
        for key, item in _expect(dict, value, where).items():
            _fill_value(target[key], item, as_text, where)
    elif field.is_repeated:
        for item in _expect(list, value, where):
            if field.message_type is None:
                target.append(_scalar(field, item, where))
            else:
                _fill_value(target.add(), item, as_text, where)
    elif field.message_type is None:
        setattr(message, field.name, _scalar(field, value, where))
    else:
        target.SetInParent()
        _fill_value(target, value, as_text, where)


def _fill_value(target: Message, value: Any, as_text: bool, where: str) -> None:
    if not isinstance(target, pb.Data):
        _fill(target, value, where)
    elif isinstance(value, dict) and value.keys() == _BLOB_KEYS:
        blob = {"digest": value["blob"], "size": value["size"], "preview": value["preview"]}
        target.blob.SetInParent()
        _fill(target.blob, blob, where)
    elif as_text:
        target.text = _expect(str, value, where)
    elif isinstance(value, dict) and value.keys() == _INLINE_KEYS:
        target.text = dump_json(value["inline"])
    else:
        target.text = dump_json(value)


def _scalar(field: FieldDescriptor, value: Any, where: str) -> Any:
    _expect(_SCALARS.get(field.type, int), value, where)
    return bytes.fromhex(value) if field.type == FieldDescriptor.TYPE_BYTES else value


def _expect(kind: type[T], value: Any, where: str) -> T:
    # Not isinstance: true is no number.
    if type(value) is not kind:
        raise CodecError(f"{where}: expected {_WORDS[kind]}, got {value!r}")
    return value


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dump_json(value: Any) -> str:
    """A JSON value as compact text. Raises TypeError or ValueError for anything else.

    Lone surrogates, which no UTF-8 can hold, are escaped.
    """
    text = _dumps(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def load_json(text: str) -> Any:
    """What `dump_json` was given; None for the empty text. Raises ValueError for anything else."""
    try:
        return json.loads(text) if text else None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def typed_json(text: str) -> Any:
    """The value of JSON that somebody has typed, which can be kept. Raises ValueError."""
    value = load_json(text)
    try:
        # What is too large for a number is read all the same.
        dump_json(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value
