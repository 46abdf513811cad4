#!/usr/bin/python3
"""What runtime/sync's benchmarks do, on asyncio: the peer to compare with.

Prints an operation and the nanoseconds that one takes, a line each. See compare. asyncio's primitives do not go between
threads, so those lines are missing.
"""

import asyncio
import time

ITEMS = 100000
TIMES = 50000
CAPACITY = 1024


async def lock(mutex, times, across_yield):
    for _ in range(times):
        async with mutex:
            if across_yield:
                await asyncio.sleep(0)


async def hand_over(first, second, times):
    for _ in range(times):
        await first.acquire()
        second.release()


async def fan_out(waiters):
    event = asyncio.Event()
    tasks = [asyncio.create_task(event.wait()) for _ in range(waiters)]
    await asyncio.sleep(0)
    event.set()
    await asyncio.gather(*tasks)


async def produce(queue, items):
    for i in range(items):
        await queue.put(i)


async def consume(queue, items):
    total = 0
    for _ in range(items):
        total += await queue.get()
    return total


async def bounce(first, second, times):
    for _ in range(times):
        await second.put(await first.get())


async def share(producers, consumers):
    queue = asyncio.Queue(CAPACITY)
    await asyncio.gather(
        *(produce(queue, ITEMS // producers) for _ in range(producers)),
        *(consume(queue, ITEMS // consumers) for _ in range(consumers)),
    )


async def contend():
    mutex = asyncio.Lock()
    await asyncio.gather(lock(mutex, TIMES // 2, True), lock(mutex, TIMES // 2, True))


async def permits():
    ping, pong = asyncio.Semaphore(1), asyncio.Semaphore(0)
    await asyncio.gather(hand_over(ping, pong, TIMES), hand_over(pong, ping, TIMES))


async def round_trips():
    ping, pong = asyncio.Queue(1), asyncio.Queue(2)
    ping.put_nowait(1)
    await asyncio.gather(bounce(ping, pong, TIMES), bounce(pong, ping, TIMES))


async def uncontended():
    await lock(asyncio.Lock(), TIMES, False)


def measure(name, operations, main):
    start = time.monotonic_ns()
    asyncio.run(main())
    print(f"{name} {(time.monotonic_ns() - start) / operations:.2f}")


def main():
    measure("mutex_uncontended", TIMES, uncontended)
    measure("mutex_contended", TIMES, contend)
    measure("semaphore_hand_over", TIMES, permits)
    measure("event_fan_out", 10000, lambda: fan_out(10000))
    measure("round_trip_one_thread", TIMES, round_trips)
    measure("channel_1_1_one_thread", ITEMS, lambda: share(1, 1))
    measure("channel_8_8_one_thread", ITEMS, lambda: share(8, 8))


if __name__ == "__main__":
    main()
