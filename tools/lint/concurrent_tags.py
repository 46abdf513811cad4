"""Every test that has threads is tagged "concurrent", so that it is among those which --config=soak runs 200 times.

A test has threads if it starts some, or names something that does, in its own sources or in those of the testonly libraries
that it includes. What the explorer runs (plait_explored_test) has none: it tries every order of one thread's fibers, once.
"""

import pathlib
import re

FOLDERS = ("runtime", "schedulers", "io")
TAG = "concurrent"

_THREADS = re.compile(
    r"\b(?:Try)?StartThread\(|\bstd::j?thread\b|\bOffload\(|\.blocking\(\)"
    r"|\b(?:ThreadPool|WorkStealingPool|BlockingPool|ThreadExecutor)\b"
)
_NOT_CODE = re.compile(r"//[^\n]*")
_INCLUDE = re.compile(r'^#include "plait/([^"]+)"', re.MULTILINE)
_RULE = re.compile(r"^(plait_test|plait_library)\(\n(.*?)^\)$", re.MULTILINE | re.DOTALL)


def _strings(attribute, rule):
    """The strings of a list that is a rule's attribute."""
    found = re.search(rf"^    {attribute} = \[(.*?)\]", rule, re.MULTILINE | re.DOTALL)
    return re.findall(r'"([^"]+)"', found.group(1)) if found else []


def rules(build_files):
    """The tests, by label, and the sources of each testonly library, by header, of a map from packages to BUILD files."""
    tests, helpers = {}, {}
    for package, text in build_files.items():
        for kind, rule in _RULE.findall(text):
            sources = [f"{package}/{name}" for name in _strings("srcs", rule) + _strings("hdrs", rule)]
            if kind == "plait_test":
                name = re.search(r'^    name = "([^"]+)"', rule, re.MULTILINE).group(1)
                tests[f"//{package}:{name}"] = (sources, _strings("tags", rule))
            elif re.search(r"^    testonly = True", rule, re.MULTILINE):
                helpers.update({source: sources for source in sources if source.endswith(".h")})
    return tests, helpers


def has_threads(test_sources, helpers, sources):
    """Whether a test of those files has threads."""
    known, left = set(), list(test_sources)
    while left:
        path = left.pop()
        if path in known:
            continue
        known.add(path)
        text = sources.get(path, "")
        if _THREADS.search(_NOT_CODE.sub("", text)):
            return True
        for header in _INCLUDE.findall(text):
            left += helpers.get(header, [])
    return False


def violations(build_files, sources):
    """The tests whose tags say something else than their sources: maps from packages and from paths to texts."""
    found = []
    tests, helpers = rules(build_files)
    for label, (test_sources, tags) in sorted(tests.items()):
        threads = has_threads(test_sources, helpers, sources)
        if threads and TAG not in tags:
            found.append(f'{label} has threads, and is not tagged "{TAG}"')
        if not threads and TAG in tags:
            found.append(f'{label} is tagged "{TAG}", and has no threads')
    return found


def tree_violations(root):
    """The same for the tree under `root`."""
    root = pathlib.Path(root)
    read = {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
        for folder in FOLDERS
        for pattern in ("BUILD.bazel", "*.h", "*.cc")
        for file in root.glob(f"{folder}/**/{pattern}")
    }
    build_files = {path.rpartition("/")[0]: text for path, text in read.items() if path.endswith("BUILD.bazel")}
    return violations(build_files, read)
