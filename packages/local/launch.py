"""Become another program that dies with its parent: `python -I -S launch.py OPTIONS program argument...`.

A step of its own rather than `preexec_fn`, which is unsafe once a process has threads. It replaces itself by the
program (same pid), so nothing stays between the parent and the program, and `ps` shows the program only.
OPTIONS is a JSON object: `parent` (pid), `signal` (number, sent when the parent dies), `uid` and `gid` (or null),
`enter_anywhere` (keep the one capability that lets the program pass folders closed to its user).
"""

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


class CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapabilitySets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def become(options: dict[str, int | None], argv: list[str]) -> None:
    """Set the parent-death signal, give up root where asked, and turn into `argv`. Does not return."""
    if options["uid"] is not None and options["gid"] is not None:
        try:
            _give_up_root(options["uid"], options["gid"], keep_entry=bool(options["enter_anywhere"]))
        except OSError as error:
            sys.exit(
                f"root may not become another user here, or not reach closed folders as one ({error.strerror}): run "
                "this as an ordinary user, or keep the checkout and NUDGE_HOME in folders that everyone may enter"
            )
    if sys.platform == "linux":
        # After the change of user, which clears it.
        _prctl(PR_SET_PDEATHSIG, options["signal"] or 0)
    if os.getppid() != options["parent"]:
        sys.exit("the parent is gone")
    try:
        os.execv(argv[0], argv)  # noqa: S606 - replacing ourselves is the purpose
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


def _give_up_root(uid: int, gid: int, *, keep_entry: bool) -> None:
    if keep_entry:
        # Capabilities outlive the change of user, and count in access(), by which PostgreSQL finds its programs.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep_entry:
        bit = 1 << CAP_DAC_OVERRIDE
        header = CapabilityHeader(CAPABILITY_VERSION_3, 0)
        sets = (CapabilitySets * 2)(CapabilitySets(bit, bit, bit), CapabilitySets(0, 0, 0))
        if _libc().capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _prctl(*arguments: int) -> None:
    if _libc().prctl(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    become(json.loads(sys.argv[1]), sys.argv[2:])
