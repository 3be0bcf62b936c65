"""
Ray and Dask as bench/market.ts asks for them: one system (the first argument) with so many workers
(the second), each a process of its own. Reads one sample a line, {"inFlight": 1 or more, "count": tasks},
and answers with one line of JSON. More than one in flight: all tasks are handed over at once, which is
the quickest way both have, and the clock stops when every result is here.
"""
import json
import os
import sys
import time

WORKERS = int(sys.argv[2])


def echo(value):
    return value


def start_ray():
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    import ray
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level='error', object_store_memory=10 ** 8)
    task = ray.remote(echo)
    return (lambda value: ray.get(task.remote(value))), (lambda values: ray.get([task.remote(value) for value in values]))


def start_dask():
    from distributed import Client, LocalCluster
    client = Client(LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None))
    return (lambda value: client.submit(echo, value, pure=False).result()), (lambda values: client.gather(client.map(echo, values, pure=False)))


def sample(one, many, in_flight, values):
    waits = []
    start = time.perf_counter()
    if in_flight > 1:
        found = many(values)
    else:
        found = []
        for value in values:
            at = time.perf_counter()
            found.append(one(value))
            waits.append(time.perf_counter() - at)
    seconds = time.perf_counter() - start
    if found != values:
        raise SystemExit('a task came back wrong')
    return {'perSecond': round(len(values) / seconds), 'p50Ms': round(sorted(waits)[len(waits) // 2] * 1e3, 4) if waits else 0}


if __name__ == '__main__':
    one, many = {'ray': start_ray, 'dask': start_dask}[sys.argv[1]]()
    asked = 0
    print(json.dumps({'ready': True}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        values = ['input %d' % number for number in range(asked, asked + wanted['count'])]
        asked += wanted['count']
        print(json.dumps(sample(one, many, wanted['inFlight'], values)), flush=True)
