"""Where there is a kqueue: macOS, the BSDs, and Linux once tools/get_libkqueue has fetched an emulation."""

load("@libkqueue//:defs.bzl", "HAVE_LIBKQUEUE")

_SYSTEMS = [
    "@platforms//os:freebsd",
    "@platforms//os:macos",
    "@platforms//os:openbsd",
]
_LINUX = "@platforms//os:linux"
_OTHERS = "//conditions:default"

def where_kqueue_is(there, elsewhere = []):
    """Tells a target that there may be a kqueue.

    Args:
      there: what an attribute is where there is one.
      elsewhere: what it is where there is none.

    Returns:
      A select of the two.
    """
    choices = {system: there for system in _SYSTEMS}
    choices[_LINUX] = there if HAVE_LIBKQUEUE else elsewhere
    choices[_OTHERS] = elsewhere
    return select(choices)

# For target_compatible_with.
NEEDS_KQUEUE = where_kqueue_is([], elsewhere = ["//tools:never"])
NEEDS_LIBKQUEUE = select({
    _LINUX: [] if HAVE_LIBKQUEUE else ["//tools:never"],
    _OTHERS: ["//tools:never"],
})

def skipped_without_kqueue(name):
    """A test that stands in, on Linux without libkqueue, for those that need a kqueue, and only says that they are skipped."""
    if not HAVE_LIBKQUEUE:
        native.sh_test(
            name = name,
            size = "small",
            srcs = ["//tools:skipped_without_kqueue.sh"],
            target_compatible_with = [_LINUX],
        )
