"""What Plait's own code may not do behind the environment seam's back.

The clock, randomness, threads and system calls are reached through runtime/core/environment.h and io/system and nowhere else,
and atomics are plait::internal::Atomic: only then can a test or a simulator put another world behind them. This reads tokens
and not types; what it cannot see (a pointer to a function taken elsewhere) is left to reviewers.
"""

import pathlib
import re

# The folders that hold the runtime, and all that hold C++ of ours.
RUNTIME_FOLDERS = ("runtime", "schedulers", "io")
FOLDERS = RUNTIME_FOLDERS + ("examples", "third_party")

_CALLS = r"""
    read write readv writev pread pwrite preadv pwritev preadv2 pwritev2 pread64 pwrite64
    recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg sendfile splice tee copy_file_range
    accept accept4 connect close close_range shutdown socket socketpair bind listen
    setsockopt getsockopt getsockname getpeername getaddrinfo
    fcntl ioctl pipe pipe2 dup dup2 dup3 eventfd signalfd timerfd_create timerfd_settime
    epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 kqueue kevent
    poll ppoll select pselect inotify_init inotify_init1 inotify_add_watch
    open openat creat fsync fdatasync ftruncate truncate lseek fallocate stat fstat lstat statx unlink unlinkat
    fork vfork clone execv execve execvp execvpe posix_spawn posix_spawnp waitpid waitid wait4 kill sigaction
    mmap munmap mprotect madvise memfd_create syscall
""".split()

_SLEEPS = "sleep usleep nanosleep clock_nanosleep".split()
_CLOCK_CALLS = "clock_gettime gettimeofday timespec_get".split()
_RANDOM_CALLS = "rand srand random srandom drand48 getrandom getentropy arc4random".split()
_THREAD_CALLS = "pthread_create thrd_create".split()

# Before a plain name: not a member, nor in a namespace or class of ours.
_START = r"(?<![\w.:])(?<!->)"


def _calls(names):
    """A pattern for uses of these global functions: `::read` in any form, `read(` where it is not declared."""
    alternatives = "|".join(names)
    return re.compile(
        rf"(?<![\w>])::\s*(?:{alternatives})\b"
        rf"|{_START}(?<!\w\s)(?<![\w>][&*]\s)(?:{alternatives})\s*\("
        rf"|\b(?:return|co_return|co_await|co_yield|else|do|throw)\s+(?:{alternatives})\s*\("
        rf"|\bstd::(?:{alternatives})\s*\("
    )


# Name -> pattern and what to do instead.
RULES = {
    "clock": (
        (re.compile(r"\b\w+_clock::now\b|\babsl::(?:Now|GetCurrentTimeNanos)\b|\bstd::time\s*\(|\b__?rdtsc"), _calls(_CLOCK_CALLS)),
        "ask the Clock of runtime/core/environment.h",
    ),
    "sleep": (
        (re.compile(r"\bthis_thread::sleep_|\babsl::SleepFor\b"), _calls(_SLEEPS)),
        "await Sleep; a test uses a test clock",
    ),
    "random": (
        (re.compile(r"\brandom_device\b|\babsl::(?:Insecure)?BitGen\b|\babsl::MakeSeedSeq\b"), _calls(_RANDOM_CALLS)),
        "seed a generator from RandomSeed() of runtime/core/environment.h, or in a test from a constant",
    ),
    "thread": (
        (re.compile(r"\bstd::j?thread\b(?!::id\b)|\bstd::async\b"), _calls(_THREAD_CALLS)),
        "use StartThread, Thread and HardwareThreads of runtime/core/environment.h",
    ),
    "system call": (
        (_calls(_CALLS),),
        "call it through io/system",
    ),
    "atomic": (
        (re.compile(r"\bstd::atomic\w*"),),
        "use plait::internal::Atomic of runtime/core/atomic.h",
    ),
}

# Path prefix -> rules that do not hold there. This is the seam itself.
ALLOWED = {
    "runtime/core/environment.h": ("clock", "random", "thread"),
    "runtime/core/environment.cc": ("clock", "random", "thread", "system call"),
    "runtime/core/futex.cc": ("system call",),
    "runtime/core/heavy_barrier.cc": ("system call",),
    "runtime/core/atomic.h": ("atomic",),
    "io/system/": ("system call", "clock"),
    # schedulers/ may not use io/system.
    "schedulers/process_pool/pool_system.cc": ("system call",),
    "schedulers/process_pool/process_system.cc": ("system call",),
    # A part of its tests.
    "schedulers/process_pool/worker_fixture.cc": ("system call",),
    "schedulers/process_pool/pool_functions.cc": ("system call",),
    "schedulers/process_pool/stop_process.h": ("system call",),
    # What Plait is measured against and with, which is none of it.
    "io/net/peers/": ("system call", "clock", "thread"),
    "schedulers/work_stealing/peers/": ("system call", "clock", "thread"),
}

# Tests make files and sockets to hand to the code under test, and share flags with their threads. They still neither sleep nor
# look at the clock.
ALLOWED_IN_TESTS = ("system call", "atomic")

_NOT_CODE = re.compile(
    r"""
    //(?:\\\n|[^\n])*                                    # comments
    | /\*.*?\*/
    | \b(?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"   # raw strings
    | "(?:\\.|[^"\\\n])*"                                # strings
    | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'                # characters, but not the separators in 1'000
    """,
    re.VERBOSE | re.DOTALL,
)

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


def _without_text(source):
    """The source with comments and literals emptied, every line where it was."""
    return _NOT_CODE.sub(lambda match: " " + "\n" * match.group().count("\n"), source)


def _is_test(path):
    return path.endswith(("_test.cc", "_benchmark.cc")) or path.startswith("runtime/testing/")


def _allowed(path):
    rules = set(ALLOWED_IN_TESTS) if _is_test(path) else set()
    for prefix, names in ALLOWED.items():
        if path == prefix or (prefix.endswith("/") and path.startswith(prefix)):
            rules.update(names)
    return rules


def violations(path, source, ours):
    """Returns what is wrong in one file, each as "path:line: what".

    path: from the root of the tree. ours(name): whether that path is a file of the tree.
    """
    found = []

    def add(text, offset, message):
        found.append((text.count("\n", 0, offset) + 1, message))

    if path.split("/")[0] in RUNTIME_FOLDERS:
        code = _without_text(source)
        for name, (patterns, instead) in RULES.items():
            if name in _allowed(path):
                continue
            for pattern in patterns:
                for match in pattern.finditer(code):
                    used = " ".join(match.group().rstrip("( \n").split())
                    add(code, match.start() + len(match.group()) - len(match.group().lstrip()), f"{name}: {used}: {instead}")

    for match in _INCLUDE.finditer(source):
        name = match.group(1)
        beside = str(pathlib.PurePosixPath(path).parent / name)
        if not name.startswith("plait/") and (ours(name) or ours(beside)):
            add(source, match.start(), f'include: "{name}": our own headers are included as "plait/<path from the root>"')

    return [f"{path}:{line}: {message}" for line, message in sorted(found)]


def tree_violations(root):
    """All violations under the root of a source tree, and the number of files looked at."""
    root = pathlib.Path(root)
    files = sorted(f for folder in FOLDERS for suffix in ("h", "cc") for f in root.glob(f"{folder}/**/*.{suffix}"))
    found = []
    for file in files:
        path = file.relative_to(root).as_posix()
        found += violations(path, file.read_text(encoding="utf-8"), lambda name: (root / name).is_file())
    return found, len(files)
