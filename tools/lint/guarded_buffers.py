"""What a test of I/O gives the kernel to write to is a GuardedBuffer (runtime/testing/guarded_buffer.h).

No sanitizer sees what the kernel writes for io_uring, so a buffer that is gone before its operation has ended shows only where
its pages are out of reach by then. Memory of any other kind reaches a read as a span that is made of it, which is looked for.
"""

import pathlib
import re

FILES = (
    "io/**/*_test.cc",
    "io/**/*_fixture*",
    "runtime/**/*_test.cc",
    "runtime/testing/**/*.cc",
    "runtime/testing/**/*.h",
    "schedulers/**/*_test.cc",
    "schedulers/**/*_fixture*",
)

# Where no system call is made with it; and the guarded memory itself.
ELSEWHERE = ("io/net/byte_buffer_test.cc", "runtime/testing/guarded_buffer.h")

# Comments; and what writes, or calls a function, in this process.
_NOT_FOR_THE_KERNEL = re.compile(r"//[^\n]*|\bEncoder \w+[({]absl::MakeSpan\(|\bMap\(\w+, absl::MakeSpan\(")
# A span of something. One of nothing, Span<char>(), is no memory.
_SPAN = re.compile(r"\bMakeSpan\(|\bSpan<char>\((?!\))")


def violations(sources):
    """Where the sources, a map from paths to texts, make a span themselves."""
    return [
        f"{path}:{number}: what the kernel writes to in a test is a GuardedBuffer"
        for path, text in sorted(sources.items())
        if path not in ELSEWHERE
        for number, line in enumerate(text.splitlines(), start=1)
        if _SPAN.search(_NOT_FOR_THE_KERNEL.sub("", line))
    ]


def tree_sources(root):
    """The tests under `root` that are looked at."""
    root = pathlib.Path(root)
    return {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
        for pattern in FILES
        for file in root.glob(pattern)
        if file.is_file()
    }
