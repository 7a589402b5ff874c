"""Identifiers that sort by the time they were made."""

import os
import time
import uuid


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def made_us(id: str) -> int:
    """When an id was made, in microseconds since 1970; 0 of one that doesn't say."""
    try:
        value = uuid.UUID(id)
    except ValueError:
        return 0
    return (value.int >> 80) * 1000 if value.version == 7 else 0
