"""Run a plan: Dask runs the missing shards, the ledger remembers, finalise ends it. Rerunning is harmless."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import dask
from dask.base import named_schedulers
from dask.callbacks import Callback

from spmdata.codec import Codec
from spmdata.errors import SpecError, SpmError
from spmdata.prepare.plan import Plan
from spmdata.prepare.task import ShardTask, shard_task, write_task
from spmdata.store.ledger import ShardRecord, Totals
from spmdata.store.remote_lock import lock_of
from spmdata.store.writer import finalise, open_or_create

#: How long a cluster may be without a worker before a run gives up.
PATIENCE_SECONDS = 60.0

#: Called after every shard with its record, how many are done, and how many there are.
OnShard = Callable[[ShardRecord, int, int], None]


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Parameters
    ----------
    totals : Totals
        Rows, counts and skipped rows of the whole store.
    shards_done_before : int
        Shards that an earlier run had finished.
    shards_written : int
        Shards that this run wrote.
    seconds : float
        Wall time, finalise included.
    notes : tuple of str
        What the user should know, such as a lock that was taken over.
    """

    totals: Totals
    shards_done_before: int
    shards_written: int
    seconds: float
    notes: tuple[str, ...]


def prepare_store(
    plan: Plan,
    *,
    scheduler: str = "threads",
    workers: int | None = None,
    force: bool = False,
    take_over: bool = False,
    strict: bool = False,
    on_shard: OnShard | None = None,
) -> Summary:
    """Write what is missing of a planned store and finalise it.

    Parameters
    ----------
    plan : Plan
        From `plan_store`.
    scheduler : str
        ``threads``, ``processes``, ``sync``, or the address of a Dask scheduler, ``tcp://host:port``.
    workers : int, optional
        Tasks at once; every core by default; a cluster decides for itself.
    force : bool
        Rename a store made by other settings aside instead of refusing.
    take_over : bool
        Take a lock that a run on another host left behind.
    strict : bool
        Stop at the first row that cannot be read.
    on_shard : callable, optional
        Progress.

    Returns
    -------
    Summary

    Raises
    ------
    SpecError
        An unknown scheduler, or fewer than one worker.
    StoreError
        The store is locked, foreign, or made by other settings.
    RemoteError
        A URL that cannot be reached or written.
    ImageError
        With ``strict``.
    """
    start = time.perf_counter()
    run = _runner(scheduler, workers)
    if str(plan.path).startswith("memory://") and scheduler not in ("threads", "sync"):
        raise SpecError(f"{plan.path} lies in the memory of this process: it takes scheduler threads, not {scheduler}")
    with lock_of(plan.path, take_over=take_over) as lock:
        done = open_or_create(plan.path, plan.layout, force=force)
        before, total = len(done), plan.layout.n_shards
        tasks = [
            shard_task(plan.path, plan.layout, plan.source, shard, strict)
            for shard in range(total)
            if shard not in done
        ]
        if tasks and plan.layout.maps:
            # Compiled once here, if at all: many cold processes would race for the cache.
            Codec(plan.layout.spec).warm_up(decode=False, people=plan.layout.people)

        def finished(record: ShardRecord) -> None:
            done[record.shard] = record
            if on_shard:
                on_shard(record, len(done), total)

        run(tasks, finished)
        totals = finalise(plan.path, plan.layout)
    notes = (lock.message,) if lock.message else ()
    return Summary(totals, before, len(tasks), time.perf_counter() - start, notes)


def _runner(
    scheduler: str, workers: int | None
) -> Callable[[Sequence[ShardTask], Callable[[ShardRecord], None]], None]:
    """Return what runs tasks and reports each record as it comes; SpecError before anything is touched."""
    check_scheduler(scheduler, workers)
    if is_cluster(scheduler):
        return lambda tasks, finished: _run_on_cluster(tasks, finished, scheduler)
    return lambda tasks, finished: _run_here(tasks, finished, scheduler, workers or cores())


def check_scheduler(scheduler: str, workers: int | None) -> None:
    """Raise SpecError unless `prepare_store` can run with these."""
    if workers is not None and workers < 1:
        raise SpecError(f"workers must be at least 1, got {workers}")
    if scheduler not in ("threads", "processes", "sync") and not is_cluster(scheduler):
        raise SpecError(
            f"scheduler must be threads, processes, sync or an address such as tcp://host:8786, got {scheduler!r}"
        )


def is_cluster(scheduler: str) -> bool:
    """Return whether a scheduler is one of Dask's, at an address."""
    return scheduler.startswith(("tcp://", "tls://"))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_here(
    tasks: Sequence[ShardTask], finished: Callable[[ShardRecord], None], scheduler: str, workers: int
) -> None:
    """Run tasks in threads or processes of this machine."""

    def posttask(key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        if isinstance(result, ShardRecord):
            finished(result)

    # In threads, as many tasks again may wait for the disk while the workers go on.
    encoding = threading.Semaphore(workers) if scheduler == "threads" else None
    threads = workers if encoding is None else 2 * workers
    # Not pure and named by us: Dask need not hash the samples to find a name. Bound to its task, and no call with it:
    # Dask looks through what a call is given for tasks of its own.
    write = partial(write_task, encoding=encoding) if encoding else write_task
    writes = [dask.delayed(partial(write, task), pure=False) for task in tasks]
    calls = [call(dask_key_name=f"shard-{task.shard:05d}") for call, task in zip(writes, tasks, strict=True)]
    get = named_schedulers[scheduler]  # of a name, Dask would ask dask.distributed first, which takes 0.2 s to import
    pool = _processes(workers) if scheduler == "processes" else nullcontext()
    with pool as processes, Callback(posttask=posttask):
        # A shard at a time: Dask gives a process up to six, so that others had none, and told of six at once.
        how = {"num_workers": threads, "pool": processes, "chunksize": 1}
        dask.compute(*calls, scheduler=get, traverse=False, optimize_graph=False, **how)


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Lend worker processes; whatever ends the run early ends them at once: what they were writing is swept later."""
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, initializer=_leave_interrupts_to_the_parent)
    try:
        yield pool
    except BaseException as error:
        workers_left = set(multiprocessing.active_children()) - others
        for worker in workers_left:
            worker.terminate()
        for worker in workers_left:
            worker.join()
        pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(error, BrokenExecutor):
            raise SpmError(
                "a worker process died; if memory ran out, run the same command again with fewer workers"
            ) from error
        raise
    pool.shutdown()


def _leave_interrupts_to_the_parent() -> None:
    """Let Ctrl-C reach the parent alone, which stops the run: a worker would only print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_on_cluster(tasks: Sequence[ShardTask], finished: Callable[[ShardRecord], None], address: str) -> None:
    """Run tasks on a Dask cluster; a window of them is under way, so that the samples of the rest are not built yet."""
    try:
        from distributed import Client, KilledWorker, as_completed  # optional: only clusters need it
        from distributed.comm.core import CommClosedError
    except ImportError as error:
        raise SpecError(
            f"scheduler {address!r} needs Dask's distributed: pip install 'spm-toolkit[distributed]'"
        ) from error

    try:
        connected = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SpmError(f"{error}; start it (dask scheduler), or see whether that is its address") from error
    with connected as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
        except TimeoutError as error:
            raise SpmError(
                f"the scheduler at {address} has had no worker for {PATIENCE_SECONDS:.0f} s: start some "
                f"(dask worker {address}), and run the same command again"
            ) from error
        window = 2 * max(1, sum(client.nthreads().values()))
        waiting = iter(tasks)

        def submit(task: ShardTask) -> Any:
            return client.submit(write_task, task, key=f"spm-shard-{task.shard:05d}", pure=False)

        running = as_completed([submit(task) for task in islice(waiting, window)], loop=client.loop)
        for future in running:
            try:
                finished(future.result())
            except KilledWorker as error:
                raise SpmError(
                    f"{future.key}: every worker that tried it died; if memory ran out, give each worker fewer threads "
                    "or more memory and run the same command again"
                ) from error
            except (CommClosedError, CancelledError) as error:
                raise SpmError(
                    f"the scheduler at {address} has gone; what is written is kept: start it again, and run the same "
                    "command again"
                ) from error
            if (task := next(waiting, None)) is not None:
                running.add(submit(task))
