"""What runtime/testing/explorer/MUTANTS.md says is what the explored tests say, and leaves out no memory order."""

import pathlib
import re

DOCUMENT = "runtime/testing/explorer/MUTANTS.md"
FOLDERS = ("runtime", "schedulers", "io")
# The explorer's own tests weaken what is in themselves.
OWN = "runtime/testing/explorer/"

_ROW = re.compile(r"^\| `([^`]+: \w+ -> \w+)` \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"^Test: `([^`]+)`$", re.MULTILINE)
_ORDERS = re.compile(r"^Orders of: (.+)$", re.MULTILINE)
_NAME = re.compile(r'"([\w<>:]+ [\w #]+: \w+ -> \w+)"')
_ORDER = re.compile(r"\bk(?:Acquire|Release|AcqRel|SeqCst)\b")
_EXPLORES = re.compile(r"\b(?:ExploreMutants|ExpectMutantsKilled)\(")
_NOT_CODE = re.compile(r"//[^\n]*|^using [^\n]*;", re.MULTILINE)


def violations(document, sources):
    """What `document` says and the sources, a map from paths to texts, do not bear out."""
    found = []
    rows_of = {}  # test -> mutant -> what notices it
    orders = {}  # files -> places in them whose order was weakened
    for section in re.split(r"^## ", document, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        test = _TEST.search(section)
        if test is None or not _EXPLORES.search(sources.get(test.group(1), "")):
            found.append(f"{title}: there is no test that explores mutants")
            continue
        rows = dict(_ROW.findall(section))
        if not rows:
            found.append(f"{title}: no mutants")
        for name, what in rows.items():
            rows_of.setdefault(test.group(1), {}).setdefault(name, []).append(what)
        files = _ORDERS.search(section)
        if files is not None:
            orders.setdefault(files.group(1), set()).update(name.rsplit(":", 1)[0] for name in rows)

    for path, text in sorted(sources.items()):
        if not _EXPLORES.search(text) or path.startswith(OWN):
            continue
        rows = rows_of.get(path)
        if rows is None:
            found.append(f"{path} explores mutants that are not listed")
            continue
        named = set(_NAME.findall(text))
        found += [f"{path} names {name}, which is not listed" for name in sorted(named - set(rows))]
        for name, what in rows.items():
            if any(each.startswith("survives") for each in what) and name not in named:
                found.append(f"{path} does not know that {name} survives")

    for files, places in sorted(orders.items()):
        texts = [sources.get(path) for path in re.findall(r"`([^`]+)`", files)]
        if not texts or None in texts:
            found.append(f"{files}: there is no such file")
            continue
        count = sum(len(_ORDER.findall(_NOT_CODE.sub("", text))) for text in texts)
        if count != len(places):
            found.append(f"{files}: {count} memory orders, and {len(places)} are listed as weakened")
    return found


def tree_violations(root):
    """The same for the tree under `root`."""
    root = pathlib.Path(root)
    sources = {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
        for folder in FOLDERS
        for suffix in ("h", "cc")
        for file in root.glob(f"{folder}/**/*.{suffix}")
        if file.name != "explorer.cc"
    }
    return violations((root / DOCUMENT).read_text(encoding="utf-8"), sources)
