"""The filter of system calls in the sandbox: a classic BPF program, as the kernel takes it.

It refuses what a command hardly needs and what has been the way out of many a sandbox. Everything
else is allowed: the namespaces do the rest.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import NamedTuple

# Offsets in the kernel's `struct seccomp_data`. Of the arguments, the low halves are looked at.
_NUMBER, _MACHINE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
# Instructions: load a word, compare it, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000

# CLONE_NEW… of mount, cgroup, UTS, IPC, user, PID and network namespaces.
_NEW_NAMESPACES = 0x7E020000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# Families of sockets: local ones, IPv4, IPv6, and netlink for looking at one's own interfaces.
# Others, such as vsock of a virtual machine, know nothing of network namespaces.
_FAMILIES = (1, 2, 10, 16)
# Above it are the calls of x86-64's second ABI, x32, which nobody uses but who evades filters.
_X32 = 0x40000000

# Since Linux 5.0 new calls have the same number everywhere.
_DENIED_EVERYWHERE = (
    *(425, 426, 427),  # io_uring_setup, _enter, _register
    *(428, 429, 430, 431, 432, 433),  # open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
    *(438, 442, 443, 467),  # pidfd_getfd, mount_setattr, quotactl_fd, open_tree_attr
)
_CLONE3 = 435


class _Numbers(NamedTuple):
    """What the calls are numbered on a kind of machine, and how the kernel calls that kind."""

    machine: int
    clone: int
    ioctl: int
    socket: int
    denied: tuple[int, ...]


_MACHINES = {
    "x86_64": _Numbers(
        machine=0xC000003E,
        clone=56,
        ioctl=16,
        socket=41,
        denied=(
            *(101, 310, 311, 312),  # ptrace, process_vm_readv, process_vm_writev, kcmp
            *(165, 166, 155, 161),  # mount, umount2, pivot_root, chroot
            *(272, 308),  # unshare, setns
            *(248, 249, 250),  # add_key, request_key, keyctl
            *(321, 298, 323, 300),  # bpf, perf_event_open, userfaultfd, fanotify_init
            *(246, 320, 175, 313, 176),  # kexec_load, kexec_file_load, init_, finit_, delete_module
            *(303, 304),  # name_to_handle_at, open_by_handle_at
            *(103, 163, 167, 168, 169, 179),  # syslog, acct, swapon, swapoff, reboot, quotactl
            *(172, 173),  # iopl, ioperm
        ),
    ),
    "aarch64": _Numbers(
        machine=0xC00000B7,
        clone=220,
        ioctl=29,
        socket=198,
        denied=(
            *(117, 270, 271, 272),  # ptrace, process_vm_readv, process_vm_writev, kcmp
            *(40, 39, 41, 51),  # mount, umount2, pivot_root, chroot
            *(97, 268),  # unshare, setns
            *(217, 218, 219),  # add_key, request_key, keyctl
            *(280, 241, 282, 262),  # bpf, perf_event_open, userfaultfd, fanotify_init
            *(104, 294, 105, 273, 106),  # kexec_load, kexec_file_load, init_, finit_, delete_module
            *(264, 265),  # name_to_handle_at, open_by_handle_at
            *(116, 89, 224, 225, 142, 60),  # syslog, acct, swapon, swapoff, reboot, quotactl
        ),
    ),
}


def make_filter(machine: str = "") -> bytes:
    """The program for a kind of machine, this one's if none is named; empty if it isn't known.

    A refused call fails with EPERM; one of a foreign ABI, such as 32 bit, ends its process.
    """
    numbers = _MACHINES.get(machine or platform.machine())
    if numbers is None:
        return b""
    refuse = _error(errno.EPERM)
    program = [
        _load(_MACHINE),
        *_unless(_EQUAL, numbers.machine, _give(_KILL)),
        _load(_NUMBER),
        *_if(_AT_LEAST, _X32, _error(errno.ENOSYS)),
    ]
    for number in (*numbers.denied, *_DENIED_EVERYWHERE):
        program += _if(_EQUAL, number, refuse)
    # Its flags are in memory, where a filter can't look. Without it, everybody uses clone.
    program += _if(_EQUAL, _CLONE3, _error(errno.ENOSYS))
    new_namespace = [_load(_ARGUMENT_0), *_if(_ANY_BIT, _NEW_NAMESPACES, refuse), _give(_ALLOW)]
    program += _if(_EQUAL, numbers.clone, *new_namespace)
    typing = [_load(_ARGUMENT_1)]
    for request in (_TIOCSTI, _TIOCLINUX):
        typing += _if(_EQUAL, request, refuse)
    program += _if(_EQUAL, numbers.ioctl, *typing, _give(_ALLOW))
    family = [_load(_ARGUMENT_0)]
    for number in _FAMILIES:
        family += _if(_EQUAL, number, _give(_ALLOW))
    program += _if(_EQUAL, numbers.socket, *family, _error(errno.EAFNOSUPPORT))
    program.append(_give(_ALLOW))
    return b"".join(program)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _give(value: int) -> bytes:
    return _instruction(_RETURN, value)


def _error(number: int) -> bytes:
    return _give(_ERROR | number)


def _if(compare: int, value: int, *then: bytes) -> list[bytes]:
    """Instructions that are done if the loaded word compares so, and skipped if not."""
    return [_instruction(compare, value, if_false=len(then)), *then]


def _unless(compare: int, value: int, *then: bytes) -> list[bytes]:
    return [_instruction(compare, value, if_true=len(then)), *then]
