"""What runtime/testing/CONFORMANCE.md says of the tests is true.

Every test that it names exists, every suite is instantiated in the file that it names, every number has a test, and it names every
test whose name begins with such a number.
"""

import pathlib
import re

DOCUMENT = "runtime/testing/CONFORMANCE.md"
FOLDERS = ("runtime", "schedulers", "io", "examples")

# The behaviours that are numbered. The numbers are stable; there are gaps.
NUMBERS = (
    (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14, 15)
    + (16, 17, 18, 19, 21, 22, 25)
    + (26, 27, 28, 29, 30, 32, 33, 34, 35, 36, 37, 39, 40, 41, 42, 44, 46, 47, 48, 49)
    + (51, 52, 53, 54, 55, 56, 57, 59, 60)
    + (63, 64, 65, 66, 67, 68, 70)
)

_TEST = re.compile(r"^(?:TEST(?:_P|_F)?|TYPED_TEST_P)\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
_INSTANTIATION = re.compile(r"^INSTANTIATE_(?:TYPED_)?TEST_SUITE_P\(\s*\w+\s*,\s*(\w+)\s*,", re.MULTILINE)
_NAME = re.compile(r"`(\w+)\.(\w+)`")
_LINE = re.compile(r"Line\d+")
_NUMBER = re.compile(r"^\*\*(\d+)\.\*\*", re.MULTILINE)
_ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| (\S+) \|$", re.MULTILINE)


def violations(document, sources):
    """What `document` says and the sources, a map from paths to texts, do not bear out."""
    tests = {match.groups() for text in sources.values() for match in _TEST.finditer(text)}
    found = [f"there is no test {suite}.{name}" for suite, name in _NAME.findall(document) if (suite, name) not in tests]

    named = set(_NAME.findall(document))
    found += [f"it does not name {suite}.{name}" for suite, name in sorted(tests - named) if _LINE.match(name)]

    rows = _ROW.findall(document)
    if not rows:
        found.append("it does not say where the suites run")
    for suite, path in rows:
        if suite not in _INSTANTIATION.findall(sources.get(path, "")):
            found.append(f"{suite} is not instantiated in {path}")

    # What stands between a number and the next one, or the next heading.
    parts = _NUMBER.split(re.sub(r"^#.*$", "**0.**", document, flags=re.MULTILINE))
    numbered = {int(number): text for number, text in zip(parts[1::2], parts[2::2])}
    for number in NUMBERS:
        if not _NAME.search(numbered.get(number, "")):
            found.append(f"{number} has no test")
    found += [f"{number} is no number of a behaviour" for number in numbered if number not in NUMBERS + (0,)]
    return found


def tree_violations(root):
    """The same for the tree under `root`."""
    root = pathlib.Path(root)
    sources = {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
        for folder in FOLDERS
        for suffix in ("h", "cc")
        for file in root.glob(f"{folder}/**/*.{suffix}")
    }
    return violations((root / DOCUMENT).read_text(encoding="utf-8"), sources)
