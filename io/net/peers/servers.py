"""The programs that `compare` runs: how each is built, and what it needs.

What Bazel does not build goes to a cache outside the checkout, and is built again only when a source is newer.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "plait" / "peers"

# Debian's, whatever else is first on PATH: uvloop and Tokio are packaged for these.
PYTHON = "/usr/bin/python3"
CARGO = "/usr/bin/cargo"
RUSTC = "/usr/bin/rustc"
CRATES = "/usr/share/cargo/registry"


@dataclasses.dataclass(frozen=True)
class Program:
    name: str
    command: tuple
    floor: bool = False


class Missing(Exception):
    """The machine lacks what a peer needs."""


def need(path, package):
    if not (pathlib.Path(path).exists() or shutil.which(path)):
        raise Missing(f"needs Debian's {package}")


# More flags of Bazel's: those of another compiler.
BAZEL_FLAGS = []


def bazel(*targets):
    """The paths of optimised builds of `targets`."""
    subprocess.run(["bazel", "build", "-c", "opt", *BAZEL_FLAGS, *targets], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / "bazel-bin" / target.removeprefix("//").replace(":", "/") for target in targets]


def build(output, sources, command):
    """Runs `command` unless `output`, in the cache, is newer than `sources`, from this folder."""
    output = CACHE / output
    newest = max((HERE / source).stat().st_mtime for source in sources)
    if not output.exists() or output.stat().st_mtime < newest:
        print(f"building {output.name}", flush=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command(output), cwd=HERE, check=True)
    return output


def cxx(output, source, *flags, compiler="g++"):
    # Our headers are included as "plait/...".
    include = CACHE / "include"
    include.mkdir(parents=True, exist_ok=True)
    link = include / "plait"
    if not link.is_symlink() or link.resolve() != ROOT:
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT)
    need(compiler, compiler.replace("clang++", "clang"))
    sources = [source, "peer.h", *(["ping_pong.h"] if source.startswith("ping_pong") else [])]
    return build(output, sources,
                 lambda path: [compiler, "-std=c++20", "-O2", f"-I{include}", source, "-o", path, *flags])


def libuv():
    need("/usr/include/uv.h", "libuv1-dev")
    return cxx("libuv", "libuv.cc", "-luv")


def asio(output, source, *flags):
    need("/usr/include/asio.hpp", "libasio-dev")
    return cxx(output, source, "-DASIO_STANDALONE", "-pthread", *flags)


def asio_io_uring(output, source):
    need("/usr/include/liburing.h", "liburing-dev")
    return asio(output, source, "-DASIO_HAS_IO_URING", "-DASIO_DISABLE_EPOLL", "-luring")


# Where the headers of TooManyCooks and of tmc-asio are: checkouts of the user's.
TOOMANYCOOKS = []


def toomanycooks(output, source):
    if not TOOMANYCOOKS:
        raise Missing("needs --toomanycooks=FOLDER,FOLDER")
    need("/usr/include/asio.hpp", "libasio-dev")
    if not list(pathlib.Path("/usr/lib").glob("*/libtcmalloc_minimal.so.4")):
        raise Missing("needs Debian's libtcmalloc-minimal4")
    folders = [flag for folder in TOOMANYCOOKS for flag in ("-isystem", folder)]
    # Another checkout is another program.
    output += f"_{hashlib.sha256(' '.join(folders).encode()).hexdigest()[:8]}"
    # The flags and the allocator are those of its own comparison. g++ 12 does not build it.
    return cxx(output, source, "-DNDEBUG", "-DASIO_STANDALONE", "-DTMC_PRIORITY_COUNT=1", "-DTMC_TRIVIAL_TASK", *folders,
               "-pthread", "-l:libtcmalloc_minimal.so.4", compiler="clang++-19")


def go():
    need("go", "golang-go")
    environment = ["env", "GO111MODULE=off", f"GOCACHE={CACHE}/go-cache"]
    return build("go", ["echo.go"], lambda path: [*environment, "go", "build", "-o", path, "echo.go"])


def tokio():
    need(CARGO, "cargo")
    need(RUSTC, "rustc")
    if not list(pathlib.Path(CRATES).glob("tokio-1.*")):
        raise Missing("needs Debian's librust-tokio-dev")
    crate = CACHE / "tokio"
    crate.mkdir(parents=True, exist_ok=True)
    sources = ["Cargo.toml", "tokio.rs"]
    # Cargo writes beside its sources.
    for source in sources:
        shutil.copy(HERE / source, crate / source)
    config = ['source.crates-io.replace-with="debian"', f'source.debian.directory="{CRATES}"']
    return build("tokio/release/tokio_echo", sources, lambda path: [
        "env", f"RUSTC={RUSTC}", f"CARGO_HOME={crate}/home", CARGO, "build", "--quiet", "--release", "--offline",
        "--config", config[0], "--config", config[1], "--manifest-path", f"{crate}/Cargo.toml", "--target-dir", crate])


def asyncio(loop):
    need(PYTHON, "python3")
    if loop == "uvloop" and subprocess.run([PYTHON, "-c", "import uvloop"], capture_output=True, check=False).returncode:
        raise Missing("needs Debian's python3-uvloop")
    return PYTHON, str(HERE / "asyncio_echo.py"), f"--loop={loop}"


def plait(target, reactor, scheduler="event_loop"):
    # A pool has a thread for each core that its process may use: one.
    return str(bazel(target)[0]), f"--reactor={reactor}", f"--scheduler={scheduler}"


FLOORS = ("epoll loop", "io_uring loop")

# Name -> how to build it; the result is a path or a command.
ECHO = {
    "epoll loop": lambda: bazel("//io/net/peers:raw_epoll")[0],
    "io_uring loop": lambda: bazel("//io/net/peers:raw_io_uring")[0],
    "plait epoll": lambda: plait("//examples/echo_server:echo_server", "epoll"),
    "plait io_uring": lambda: plait("//examples/echo_server:echo_server", "io_uring"),
    "plait kqueue": lambda: plait("//examples/echo_server:echo_server", "kqueue"),
    "plait pool epoll": lambda: plait("//examples/echo_server:echo_server", "epoll", "work_stealing"),
    "plait pool io_uring": lambda: plait("//examples/echo_server:echo_server", "io_uring", "work_stealing"),
    "libuv": libuv,
    "asio epoll": lambda: asio("asio", "asio.cc"),
    "asio io_uring": lambda: asio_io_uring("asio_io_uring", "asio.cc"),
    "go": go,
    "tokio": tokio,
    "uvloop": lambda: asyncio("uvloop"),
    "asyncio": lambda: asyncio("asyncio"),
}

PING_PONG = {
    "epoll loop": lambda: bazel("//io/net/peers:ping_pong_raw_epoll")[0],
    "plait epoll": lambda: plait("//io/net/peers:ping_pong", "epoll"),
    "plait io_uring": lambda: plait("//io/net/peers:ping_pong", "io_uring"),
    "plait pool epoll": lambda: plait("//io/net/peers:ping_pong", "epoll", "work_stealing"),
    "plait pool io_uring": lambda: plait("//io/net/peers:ping_pong", "io_uring", "work_stealing"),
    "asio epoll": lambda: asio("ping_pong_asio", "ping_pong_asio.cc"),
    "asio io_uring": lambda: asio_io_uring("ping_pong_asio_io_uring", "ping_pong_asio.cc"),
    "toomanycooks": lambda: toomanycooks("ping_pong_toomanycooks", "ping_pong_toomanycooks.cc"),
}


def prepare(table, names):
    """Builds what of `table` is in `names`, or all of it; says what is left out and why. A list of Programs."""
    programs = []
    for name, make in table.items():
        if names and name not in names:
            continue
        try:
            made = make()
        except Missing as reason:
            print(f"{name} is left out: {reason}")
        except subprocess.CalledProcessError as error:
            print(f"{name} is left out: {' '.join(map(str, error.cmd))} failed\n{error.stderr or ''}")
        else:
            command = made if isinstance(made, tuple) else (str(made),)
            programs.append(Program(name, command, name in FLOORS))
    return programs
