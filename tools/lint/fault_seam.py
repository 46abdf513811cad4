"""Every system call of the seam is one that tests can make fail, and one that a fault matrix does make fail.

io/system/system_calls.h says which calls there are, FaultInjection (fault_injection.h) stands before them, call_errors.cc says how
each can fail, and the matrices (*_faults_test.cc) name the calls that their scenarios reach, which is checked when they run.
"""

import pathlib
import re

SEAM = "io/system/system_calls.h"
INJECTION = "io/system/fault_injection.h"
ERRORS = "io/system/call_errors.cc"
MATRICES = "_faults_test.cc"

# What no call of the system is.
HOOKS = ("BeforeOperation", "BeforeShot")

# Counted and made to fail as another.
SAME_AS = {"CloseKqueue": "Close"}

# Call -> the test that makes it fail instead, for a reason.
ELSEWHERE = {
    # Whether one thread has to wake another is a matter of time. It is made again until it succeeds.
    "SignalEventFd": "io/reactor/failed_wait_test.cc",
    # Only where there is no pidfd, which is a fault itself: two at once.
    "SignalPid": "io/process/process_test.cc",
    # Only after another call failed, to let some time pass.
    "WaitReadable": "io/reactor/failed_wait_test.cc",
}

_VIRTUAL = re.compile(r"^  virtual [\w ]+?[ *](\w+)\(", re.MULTILINE)
_OVERRIDE = re.compile(r"^  [\w ]+?[ *](\w+)\([^;]*\boverride;", re.MULTILINE)
_ENUMERATOR = re.compile(r"^    k(\w+),", re.MULTILINE)
_ENTRY = re.compile(r"\{Call::k(\w+),\s*\"\w+\",\s*\{\s*E")
_LEFT_OUT = re.compile(r"\.call = FaultInjection::k\w+")
_NAMED = re.compile(r"\bFaultInjection::k(\w+)")


def violations(sources):
    """What is missing in the sources, a map from paths to texts."""
    seam = [call for call in _VIRTUAL.findall(sources[SEAM]) if call not in HOOKS]
    overridden = set(_OVERRIDE.findall(sources[INJECTION]))
    counted = set(_ENUMERATOR.findall(sources[INJECTION]))
    listed = set(_ENTRY.findall(sources[ERRORS]))
    reached = {
        call
        for path, text in sources.items()
        if path.endswith(MATRICES)
        for call in _NAMED.findall(_LEFT_OUT.sub("", text))
    }
    found = [] if seam else [f"{SEAM} has no calls"]
    for call in seam:
        if call not in overridden:
            found.append(f"{call}: no test can make it fail: it is not in {INJECTION}")
            continue
        call = SAME_AS.get(call, call)
        if call not in counted:
            found.append(f"{call}: {INJECTION} has no k{call}")
        if call not in listed:
            found.append(f"{call}: {ERRORS} does not say how it fails")
        if call in ELSEWHERE:
            if call not in _NAMED.findall(sources.get(ELSEWHERE[call], "")):
                found.append(f"{call}: {ELSEWHERE[call]} does not make it fail")
        elif call not in reached:
            found.append(f"{call}: no fault matrix (*{MATRICES}) names it as reached")
    return found


def tree_violations(root):
    """The same for the tree under `root`."""
    root = pathlib.Path(root)
    return violations(
        {
            file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
            for suffix in ("h", "cc")
            for file in root.glob(f"io/**/*.{suffix}")
        }
    )
