#!/usr/bin/python3
"""queue_throughput as the article has it, on asyncio's own loop or on uvloop: the peer to compare with.

  examples/queue_throughput/peers.py [--loop=asyncio|uvloop] [--items=N]

uvloop is Debian's package python3-uvloop.
"""

import argparse
import asyncio
import time


async def produce(queue, items):
    for n in range(1, items + 1):
        await queue.put(n * n)
        await asyncio.sleep(0)


async def consume(queue, items):
    total = 0
    for _ in range(items):
        total += await queue.get()
        await asyncio.sleep(0)
    return total


async def run(items):
    queue = asyncio.Queue()
    results = await asyncio.gather(
        produce(queue, items // 2), produce(queue, items - items // 2), consume(queue, items)
    )
    return results[2]


def main():
    parser = argparse.ArgumentParser(description="queue_throughput on asyncio or uvloop")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--items", type=int, default=500000)
    arguments = parser.parse_args()
    if arguments.loop == "uvloop":
        import uvloop

        uvloop.install()
    start = time.monotonic()
    total = asyncio.run(run(arguments.items))
    seconds = time.monotonic() - start
    print(f"The squares that came through add up to {total}.")
    print(
        f"queue_throughput items={arguments.items} seconds={seconds:.3f}"
        f" reactor={arguments.loop} scheduler=python"
    )


if __name__ == "__main__":
    main()
