"""Execute a program that gets a signal when its parent ends: `python -I -S launch.py OPTIONS program argument...`.

A separate program instead of `preexec_fn`, which is unsafe in a process with threads. It replaces itself by the
program (with the same pid), so no process stays in between. OPTIONS is a JSON object: `parent` (pid), `signal`
(number, sent when the parent ends), `uid` and `gid` (or null), `enter_anywhere` (keep the capability that lets the
program enter folders closed to its user).
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


def execute(options: dict[str, int | None], argv: list[str]) -> None:
    """Set the parent-death signal, drop root privileges if requested, and execute `argv`. Does not return."""
    if options["uid"] is not None and options["gid"] is not None:
        try:
            _drop_root(options["uid"], options["gid"], keep_capability=bool(options["enter_anywhere"]))
        except OSError as error:
            sys.exit(
                f"root cannot switch to another user here, or enter closed folders as one ({error.strerror}): run "
                "this as an ordinary user, or keep the checkout and NUDGE_HOME in folders that every user may enter"
            )
    if sys.platform == "linux":
        # After the change of user, which clears the signal.
        _prctl(PR_SET_PDEATHSIG, options["signal"] or 0)
    if os.getppid() != options["parent"]:
        sys.exit("the parent has ended")
    try:
        os.execv(argv[0], argv)  # noqa: S606 - replacing this process is the purpose
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


def _drop_root(uid: int, gid: int, *, keep_capability: bool) -> None:
    if keep_capability:
        # Keeps capabilities across the change of user, also for access(), with which PostgreSQL looks for its
        # programs.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep_capability:
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
    execute(json.loads(sys.argv[1]), sys.argv[2:])
