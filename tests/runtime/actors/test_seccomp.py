"""The filter of system calls, run by hand for machines that we don't have."""

from __future__ import annotations

import errno
import struct

import pytest

from axtui.runtime.actors.seccomp import make_filter

ALLOWED, KILLED = "allowed", "killed"
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "read": (0, 63),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "ptrace": (101, 117),
    "mount": (165, 40),
    "umount2": (166, 39),
    "setns": (308, 268),
    "unshare": (272, 97),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
    "fsopen": (430, 430),
    "move_mount": (429, 429),
}


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> str | int:
    """What the kernel would do with a call: what it says, or the error that it gives."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("=I", data, value)
            case 0x06:
                names = {0x7FFF0000: ALLOWED, 0x80000000: KILLED}
                return names.get(value) or value & 0xFFFF
            case 0x15 | 0x35 | 0x45:
                holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}
                at += if_true if holds[code] else if_false
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_verdicts(machine: str) -> None:
    program, architecture = make_filter(machine), ARCHITECTURES[machine]
    column = list(ARCHITECTURES).index(machine)

    def ask(name: str, *arguments: int) -> str | int:
        return verdict(program, architecture, NUMBERS[name][column], *arguments)

    for name in ("read", "execve"):
        assert ask(name) == ALLOWED
    for name in list(NUMBERS)[6:]:
        assert ask(name) == errno.EPERM, name
    assert ask("clone", 0x01200011) == ALLOWED
    assert ask("clone", 0x003D0F00) == ALLOWED
    for flag in range(0x02000000.bit_length() - 1, 31):
        expected = ALLOWED if flag == 24 else errno.EPERM
        assert ask("clone", 1 << flag | 17) == expected
    assert ask("clone", 0x00020011) == errno.EPERM
    assert ask("clone3") == errno.ENOSYS
    assert ask("ioctl", 0, 0x5401) == ALLOWED
    for request in (0x5412, 0x541C, 0xFFFFFFFF_00005412):
        assert ask("ioctl", 0, request) == errno.EPERM
    for family, said in ((1, ALLOWED), (2, ALLOWED), (10, ALLOWED), (16, ALLOWED)):
        assert ask("socket", family) == said
    for family in (0, 3, 17, 29, 31, 38, 40, 44):
        assert ask("socket", family) == errno.EAFNOSUPPORT


def test_other_ways_to_call() -> None:
    program = make_filter("x86_64")
    assert verdict(program, 0x40000003, 4) == KILLED  # 32 bit
    assert verdict(program, ARCHITECTURES["x86_64"], 0x40000000 + 101) == errno.ENOSYS  # x32
    assert verdict(make_filter("aarch64"), 0x40000028, 4) == KILLED


def test_a_machine_that_isnt_known() -> None:
    assert make_filter("riscv64") == b""
