"""What runtime/testing/explorer/MUTANTS.md says is what the explored tests say, and leaves out no memory order.

Each order stronger than relaxed that the runtime's code names is either among a section's "Orders of", which lists what
notices that it is weaker, or its file is under "Not explored", with how many such orders it has and the reason.
"""

import pathlib
import re

DOCUMENT = "runtime/testing/explorer/MUTANTS.md"
FOLDERS = ("runtime", "schedulers", "io")
# The explorer's own tests weaken what is in themselves.
OWN = "runtime/testing/explorer/"

_ROW = re.compile(r"^\| `([^`]+: \w+ -> \w+)` \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"^Test: `([^`]+)`$", re.MULTILINE)
# "but 3": so many are not weakened, and the section's text says why.
_ORDERS = re.compile(r"^Orders of: (.+?)(?:, but (\d+))?$", re.MULTILINE)
_UNEXPLORED = re.compile(r"^\| `([\w/.]+)` \| (\d+) \| (\S.*) \|$", re.MULTILINE)
_UNEXPLORED_TITLE = "Not explored"
_NAME = re.compile(r'"([\w<>:~]+ [\w #]+: \w+ -> \w+)"')
_ORDER = re.compile(r"\bk(?:Acquire|Release|AcqRel|SeqCst)\b|\bmemory_order_(?:acquire|release|acq_rel|seq_cst)\b")
# An operation that names none is sequentially consistent.
_OPERATION = re.compile(r"(?:\.|->)(?:load|store|exchange|fetch_\w+|compare_exchange_\w+)\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
_ATOMIC = re.compile(r"\bAtomic<")
_RELAXED = re.compile(r"\bkRelaxed\b|\bmemory_order_relaxed\b")
_EXPLORES = re.compile(r"\b(?:ExploreMutants|ExpectMutantsKilled)\(")
_NOT_CODE = re.compile(r"//[^\n]*|^ *using [^\n]*;", re.MULTILINE)
# The atomics themselves; and what no program has in it.
_NO_USER = re.compile(r"^runtime/core/(?:explored_)?atomic\.h$|_test\.cc$|_benchmark\.cc$|^runtime/testing/")


def strong_orders(text):
    """How many orders stronger than relaxed `text` names, or takes by naming none."""
    code = _NOT_CODE.sub("", text)
    named = len(_ORDER.findall(code))
    if _ATOMIC.search(code) is None:
        return named
    calls = (call.group() for call in _OPERATION.finditer(code))
    return named + sum(1 for call in calls if _ORDER.search(call) is None and _RELAXED.search(call) is None)


def violations(document, sources):
    """What `document` says and the sources, a map from paths to texts, do not bear out."""
    found = []
    rows_of = {}  # test -> mutant -> what notices it
    orders = {}  # files -> places in them whose order was weakened
    kept = {}  # files -> how many orders were not
    unexplored = {}  # file -> how many orders it has
    for section in re.split(r"^## ", document, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        if title == _UNEXPLORED_TITLE:
            unexplored = {path: int(count) for path, count, _ in _UNEXPLORED.findall(section)}
            continue
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
            kept[files.group(1)] = int(files.group(2) or 0)

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
        count = sum(strong_orders(text) for text in texts) - kept[files]
        if count != len(places):
            found.append(f"{files}: {count} memory orders, and {len(places)} are listed as weakened")

    explored = {path for files in orders for path in re.findall(r"`([^`]+)`", files)}
    for path, text in sorted(sources.items()):
        if path in explored or _NO_USER.search(path):
            continue
        count = strong_orders(text)
        if count != unexplored.pop(path, 0):
            found.append(f"{path}: {count} memory orders are neither weakened by a test nor under {_UNEXPLORED_TITLE}")
    found += [f"{path} is under {_UNEXPLORED_TITLE}, but is explored, or is not there" for path in sorted(unexplored)]
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
