#!/usr/bin/python3
"""composition_benchmark.cc in asyncio: the peer to compare with. Prints a name and nanoseconds per task on each line.

  runtime/task/peers/composition.py [--loop=asyncio|uvloop]

uvloop is Debian's package python3-uvloop.
"""

import argparse
import asyncio
import time


async def number(n):
    await asyncio.sleep(0)
    return n


async def never():
    await asyncio.get_running_loop().create_future()


async def gather(count):
    return sum(await asyncio.gather(*(number(n) for n in range(count))))


async def group(count):
    async with asyncio.TaskGroup() as tasks:
        for n in range(count):
            tasks.create_task(number(n))


async def select(count):
    for n in range(count):
        done, pending = await asyncio.wait(
            [asyncio.ensure_future(number(n)), asyncio.ensure_future(never())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        assert len(done) == 1


async def numbers(count):
    for n in range(count):
        yield n


async def generator(count):
    total = 0
    async for n in numbers(count):
        total += n
    return total


PROGRAMS = [
    ("BM_Gather/1000", gather, 1000),
    ("BM_TaskGroup/1000", group, 1000),
    ("BM_TaskGroup/100000", group, 100000),
    ("BM_SelectOfTwo", select, 1000),
    ("BM_AsyncGenerator/100000", generator, 100000),
]


async def measure(program, count):
    """The best of several runs, in nanoseconds per task."""
    best = float("inf")
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        start = time.monotonic_ns()
        await program(count)
        best = min(best, (time.monotonic_ns() - start) / count)
    return best


def main():
    parser = argparse.ArgumentParser(description="composition_benchmark in asyncio")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    arguments = parser.parse_args()
    if arguments.loop == "uvloop":
        import uvloop

        uvloop.install()
    for name, program, count in PROGRAMS:
        print(name, round(asyncio.run(measure(program, count)), 1))


if __name__ == "__main__":
    main()
