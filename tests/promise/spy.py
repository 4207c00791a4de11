"""A training script that looks for a secret wherever it can think of, and says where it looked and what it found.

`python spy.py BEFORE AFTER STOP FOLDER…`: the secret is the text between BEFORE and AFTER reversed, so that this
command line does not hold it; STOP is the process at which looking upwards ends; the folders are looked through.
"""

import base64
import binascii
import ctypes
import glob
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

SECRET = (sys.argv[2] + sys.argv[1])[::-1]
STOP = int(sys.argv[3])
FOLDERS = sys.argv[4:]
MODEL = os.environ["MLSNAP_MODEL_DIR"]
QUIET = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true"}
LIBC = ctypes.CDLL(None, use_errno=True)
PART = 1 << 20
MOST = 64 << 20
KEYCTL = 250 if os.uname().machine == "x86_64" else 219


def forms(text: str) -> set[bytes]:
    """Give the secret as it is, and as it would be after the usual ways to wrap it."""
    plain = text.encode()
    found = {plain, plain[::-1], binascii.hexlify(plain), binascii.hexlify(plain).upper()}
    found |= {text.encode("utf-16-le"), "".join(f"%{byte:02X}" for byte in plain).encode()}
    for shift in range(3):
        # What stands before it shifts base64; the first and last characters then depend on the neighbours.
        wrapped = base64.b64encode(b"x" * shift + plain)
        found |= {wrapped[4:-4], base64.urlsafe_b64encode(b"x" * shift + plain)[4:-4]}
    return found


NEEDLES = forms(SECRET)


def holds_it(content: bytes) -> bool:
    return any(needle in content for needle in NEEDLES)


def read(path: str) -> bytes:
    with suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            return b"".join(iter(lambda: file.read(PART) or b"", b""))
    return b""


def said(*command: str, given: bytes = b"") -> bytes:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, input=given, capture_output=True, env=QUIET, timeout=20, check=False)
        return done.stdout + done.stderr
    return b""


def others() -> list[int]:
    """Give the processes above, up to the one that stops; where few are to be seen, all of them."""
    seen = [int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()]
    if len(seen) < 10:
        return seen
    above, pid = [], os.getppid()
    while pid > 1 and pid != STOP:
        above.append(pid)
        pid = int(read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()[1] or 1)
    return above


def of_others(*names: str) -> Iterator[bytes]:
    for pid in others():
        for name in names:
            yield from map(read, glob.glob(f"/proc/{pid}/{name}"))


def mapped(pid: int) -> Iterator[tuple[int, int]]:
    for line in read(f"/proc/{pid}/maps").splitlines():
        ends, rights = line.split(None, 2)[:2]
        if rights.startswith(b"rw"):
            first, last = (int(end, 16) for end in ends.split(b"-"))
            yield first, min(last - first, MOST)


def memory() -> Iterator[bytes]:
    for pid in others():
        with suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            for first, length in mapped(pid):
                with suppress(OSError, OverflowError):
                    file.seek(first)
                    yield file.read(length)


def memory_by_call() -> Iterator[bytes]:
    class Part(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    for pid in others():
        for first, length in mapped(pid):
            buffer = ctypes.create_string_buffer(length)
            here, there = Part(ctypes.addressof(buffer), length), Part(first, length)
            if LIBC.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
                yield buffer.raw


def traced() -> Iterator[bytes]:
    """Attach as a debugger does; whoever may, may read everything."""
    for pid in others():
        if LIBC.ptrace(0x4206, pid, None, None) == 0:  # PTRACE_SEIZE, which does not stop it
            LIBC.ptrace(17, pid, None, None)
            yield from memory()


def dumped() -> Iterator[bytes]:
    """Look for the core of a process that ended badly, where the kernel or its service puts it."""
    yield from map(read, glob.glob("core*") + glob.glob("/core*") + glob.glob("/var/lib/systemd/coredump/*")[:5])


def own_descriptors() -> Iterator[bytes]:
    for number in range(256):
        with suppress(OSError):
            yield os.pread(number, PART, 0)
        yield (
            os.fsencode(os.readlink(f"/proc/self/fd/{number}"))
            if os.path.lexists(f"/proc/self/fd/{number}")
            else b""
        )


def below(*folders: str) -> Iterator[bytes]:
    for folder in folders:
        for place, _, names in os.walk(os.path.expanduser(folder)):
            for name in names:
                path = os.path.join(place, name)
                if name != "spy.py" and not os.path.islink(path) and os.path.isfile(path):
                    yield read(path)


def top() -> str:
    return said("git", "rev-parse", "--show-toplevel").decode().strip()


def git() -> Iterator[bytes]:
    yield said("git", "config", "--list", "--show-origin")
    yield said("git", "remote", "--verbose")
    yield from map(read, glob.glob(os.path.join(top(), ".git", "*")))


def credentials() -> Iterator[bytes]:
    for host in ("github.com", "127.0.0.1"):
        yield said("git", "credential", "fill", given=f"protocol=https\nhost={host}\n\n".encode())
    for command in (("gh", "auth", "token"), ("ssh-add", "-L"), ("docker", "info")):
        yield said(*command)


def homes() -> Iterator[bytes]:
    names = (".netrc", ".git-credentials", ".gitconfig", ".pypirc", ".bash_history", ".python_history", ".profile")
    yield from (read(os.path.expanduser(f"~/{name}")) for name in names)
    yield from below("~/.config/gh", "~/.config/git", "~/.aws", "~/.docker", "~/.ssh", "~/.cache/mlsnap")


def runner() -> Iterator[bytes]:
    for name, value in os.environ.items():
        if value.startswith("/") and name.startswith(("GITHUB_", "RUNNER_", "MLSNAP_")):
            yield read(value)
            yield from below(os.path.dirname(value) if os.path.isfile(value) else value)
    yield from below(*(os.environ[name] for name in ("RUNNER_TEMP", "WORKSPACE_TMP") if name in os.environ))


def state() -> Iterator[bytes]:
    common = said("git", "rev-parse", "--path-format=absolute", "--git-common-dir").decode().strip()
    yield from below(
        os.path.join(common, "mlsnap"), os.path.dirname(MODEL), os.path.dirname(os.environ["MLSNAP_METRICS"])
    )


def temporary() -> Iterator[bytes]:
    for place in ("/dev/shm", "/tmp", "/var/tmp", "/run/user", os.environ.get("TMPDIR", "/tmp")):
        for path in glob.glob(f"{place}/*") + glob.glob(f"{place}/.*"):
            if os.path.isfile(path) and os.path.getsize(path) < PART:
                yield read(path)


def keys() -> Iterator[bytes]:
    yield read("/proc/keys")
    for ring in (-1, -2, -3, -4, -5):  # those of the thread, process, session, user, and user's session
        buffer = ctypes.create_string_buffer(PART)
        length = LIBC.syscall(KEYCTL, 11, ring, buffer, PART)  # KEYCTL_READ
        numbers = buffer.raw[: max(0, length)]
        for place in range(0, len(numbers) - 3, 4):
            LIBC.syscall(KEYCTL, 11, int.from_bytes(numbers[place : place + 4], sys.byteorder), buffer, PART)
            yield buffer.raw


def sockets() -> Iterator[bytes]:
    listed = read("/proc/net/unix")
    yield listed
    for name in {line.split()[-1].decode() for line in listed.splitlines()[1:] if len(line.split()) == 8}:
        if "mlsnap" in os.path.basename(name):
            yield SECRET.encode()  # we open none; one that is there needs a look
    agent = os.environ.get("SSH_AUTH_SOCK")
    if agent:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(agent)
            yield SECRET.encode()  # whoever reaches the agent may use the keys


def shared_memory() -> Iterator[bytes]:
    yield read("/proc/sysvipc/shm")
    for line in read("/proc/sysvipc/shm").splitlines()[1:]:
        LIBC.shmat.restype = ctypes.c_void_p
        place = LIBC.shmat(int(line.split()[1]), None, 0o10000)
        if place not in (None, ctypes.c_void_p(-1).value):
            yield ctypes.string_at(place, min(int(line.split()[3]), MOST))


def kernel() -> Iterator[bytes]:
    yield said("dmesg")
    yield from map(read, ("/proc/cmdline", "/proc/self/mountinfo", "/proc/self/cgroup"))
    yield from of_others("stack", "auxv", "comm", "wchan")


def behind_mounts() -> Iterator[bytes]:
    """Take away what covers the machine's `/proc`, mount another, enter that of others; then look again.

    Where this is the machine's own `/proc` nothing covers it, and it is left alone.
    """
    look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline"
    escapes = ["unshare --user --map-root-user --mount umount /proc"]
    if b"namespace.py" in read("/proc/1/cmdline"):
        escapes += [
            "umount /proc",
            "mount -t proc proc /mnt",
            "nsenter --target 1 --all true",
            "chroot /proc/1/root",
        ]
    for escape in escapes:
        yield said("sh", "-c", f"{escape}; {look} /mnt/[0-9]*/environ")


def rights() -> Iterator[bytes]:
    """Become more, and look again."""
    for become in ("sudo -n", "su root -c", "pkexec", "doas -n"):
        yield said("sh", "-c", f"{become} 'cat /proc/[0-9]*/environ'")


PLACES: dict[str, Callable[[], Iterator[bytes]]] = {
    "own environment": lambda: iter((repr(os.environ).encode(), read("/proc/self/environ"))),
    "environments of others": lambda: of_others("environ", "task/*/environ"),
    "command lines": lambda: of_others("cmdline"),
    "memory of others": memory,
    "memory of others by process_vm_readv": memory_by_call,
    "memory of others as a debugger": traced,
    "core dumps": dumped,
    "descriptors of others": lambda: of_others("fd/*"),
    "own descriptors": own_descriptors,
    "standard input": lambda: iter((read("/proc/self/fd/0"),)),
    "git's configuration": git,
    "stored logins": credentials,
    "the home folder": homes,
    "the runner's files": runner,
    "state of mlsnap": state,
    "temporary files": temporary,
    "the kernel's keys": keys,
    "sockets": sockets,
    "shared memory": shared_memory,
    "what the kernel tells": kernel,
    "behind the mounts": behind_mounts,
    "with more rights": rights,
    "the work tree": lambda: below("."),
    "other folders": lambda: below(*FOLDERS),
}


def main() -> None:
    # First, since what we find would be in the environment of what we start.
    found = [place for place, contents in PLACES.items() if any(map(holds_it, contents()))]
    print("the spy found", found, os.environ)
    with open(os.path.join(MODEL, "spied.json"), "w") as file:
        json.dump({"looked": list(PLACES), "found": found, "others": len(others())}, file)


if __name__ == "__main__":
    main()
