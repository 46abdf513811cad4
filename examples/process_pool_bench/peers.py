"""The same calls as process_pool_bench, through CPython's concurrent.futures and multiprocessing.

    python3 examples/process_pool_bench/peers.py --pool=futures --workers=2 --calls=20000 --chunk=1
"""

import argparse
import concurrent.futures
import multiprocessing
import time


def same(n):
    return n


def percentile(ordered, part):
    return ordered[int((len(ordered) - 1) * part)] * 1e6


def run(name, submit_one, map_all, options, since):
    submit_one(0)
    first = (time.perf_counter() - since) * 1e3
    begin = time.perf_counter()
    assert sum(map_all([1] * options.calls)) == options.calls
    seconds = time.perf_counter() - begin
    trips = []
    for _ in range(options.round_trips):
        begin = time.perf_counter()
        submit_one(1)
        trips.append(time.perf_counter() - begin)
    trips.sort()
    print(f"First result after {first:.2f} ms.")
    print(
        f"{name} workers={options.workers} calls={options.calls} calls_per_second={options.calls / seconds:.0f} "
        f"p50_us={percentile(trips, 0.5):.2f} p99_us={percentile(trips, 0.99):.2f}"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", choices=["futures", "multiprocessing"], default="futures")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calls", type=int, default=20000)
    parser.add_argument("--chunk", type=int, default=1)
    parser.add_argument("--round_trips", type=int, default=2000)
    options = parser.parse_args()
    since = time.perf_counter()
    if options.pool == "futures":
        with concurrent.futures.ProcessPoolExecutor(options.workers) as pool:
            run(
                "futures",
                lambda n: pool.submit(same, n).result(),
                lambda items: pool.map(same, items, chunksize=options.chunk),
                options,
                since,
            )
    else:
        with multiprocessing.Pool(options.workers) as pool:
            run(
                "multiprocessing",
                lambda n: pool.apply(same, (n,)),
                lambda items: pool.map(same, items, chunksize=options.chunk),
                options,
                since,
            )


if __name__ == "__main__":
    main()
