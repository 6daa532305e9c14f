"""One function over many files: in threads of this process, or by the workers of a Dask cluster.

A cluster is sent paths and gives back facts; recordings are read and written by the workers, who must see
the same files under the same paths. What a lost worker had is done again by another, so the work must be
such that doing it twice does no harm.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ClusterError, InputError, SpeechjemError, UsageError

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

LOCAL = "local"
MEMORY = 1.5e9  # bytes that a worker should have
Job = tuple[Path, ...]
Work = Callable[..., Any]
T = TypeVar("T")
_STOPPED = threading.Event()


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: the paths that the work was given.
        value: what it returned.
        error: why it failed, if it did.
        elapsed: how long it took in seconds.
        worker: who did it, as host:process.
    """

    job: Job
    value: Any = None
    error: InputError | None = None
    elapsed: float = 0.0
    worker: str = ""


def installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported."""
    return sys.modules.get(package, package) is not None and find_spec(package) is not None


def run(work: Work, jobs: Sequence[Job], at_once: int = 1, scheduler: str = LOCAL) -> Iterator[Outcome]:
    """Do every job, and tell what became of each as it ends.

    Args:
        work: what to do; an InputError it raises is the job's outcome, another error ends the run. For a
            cluster it is pickled.
        jobs: the paths that the work is given, first that of the input.
        at_once: number of threads here; they share torch's among them.
        scheduler: address of a Dask scheduler, such as tcp://host:8786, or the .json file that it wrote; or
            `LOCAL` for this process.

    Yields:
        An outcome a job, in no order if several are at work.

    Raises:
        UsageError: the address is malformed, or Dask is not installed.
        ClusterError: the scheduler cannot be reached, gets lost, or is of another version.
    """
    if not jobs:
        return iter(())
    if scheduler != LOCAL:
        return _by_cluster(work, jobs, scheduler)
    if at_once == 1 or len(jobs) == 1:
        return (_attempt(work, job) for job in jobs)
    return _by_threads(work, jobs, at_once)


def _attempt(work: Work, job: Job) -> Outcome:
    start = time.perf_counter()
    value = error = None
    try:
        value = work(*job)
    except InputError as reason:
        error = reason
    return Outcome(job, value, error, time.perf_counter() - start, f"{socket.gethostname()}:{os.getpid()}")


def _by_threads(work: Work, jobs: Sequence[Job], at_once: int) -> Iterator[Outcome]:
    # One file a thread fills the cores better than many threads on one file, above all if it is short.
    if installed("torch"):
        import torch

        share = max(1, torch.get_num_threads() // at_once)
        pool = ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(share,))
    else:
        pool = ThreadPoolExecutor(at_once)
    waiting: set[Future[Outcome]] = set()
    try:
        waiting |= {pool.submit(_attempt, work, job) for job in jobs}
        for future in as_completed(list(waiting)):
            waiting.remove(future)
            yield future.result()
    except KeyboardInterrupt:
        _stop(pool)
        # What was at its end when the others were stopped is done, too.
        yield from (f.result() for f in waiting if not f.cancelled() and f.exception() is None)
        raise
    finally:
        _stop(pool)


def _stop(pool: ThreadPoolExecutor) -> None:
    """End what the threads are at, and start no more."""
    _STOPPED.set()
    pool.shutdown(cancel_futures=True)
    _STOPPED.clear()


def until_stopped(pieces: Iterable[T]) -> Iterator[T]:
    """The pieces that a thread works on; they end in a KeyboardInterrupt when the main one had it."""
    for piece in pieces:
        if _STOPPED.is_set():
            raise KeyboardInterrupt
        yield piece


def _by_cluster(work: Work, jobs: Sequence[Job], scheduler: str) -> Iterator[Outcome]:
    # Only workers unpickle the work: a scheduler, which unpickles what it is sent, needs no torch for this.
    attempt = functools.partial(_attempt_pickled, pickle.dumps(work))
    with _connected(scheduler) as client:
        import distributed

        # The scheduler keeps a result as long as its future is kept here.
        futures = client.map(attempt, list(map(_absolute, jobs)), pure=False, key="speechjem")
        jobs_of = dict(zip(futures, jobs, strict=True))
        del futures
        suspects = []
        for future in distributed.as_completed(list(jobs_of)):
            job = jobs_of.pop(future)
            if outcome := _outcome(future, job, scheduler):
                yield outcome
            else:
                suspects.append(job)
        # Dask blames every task of a dying worker, also those that only waited: run each alone.
        for job in suspects:
            outcome = _outcome(client.submit(attempt, _absolute(job), pure=False), job, scheduler)
            yield outcome or Outcome(
                job, error=InputError(f"{job[0]} was given up: workers die of it; see their logs.")
            )


def _absolute(job: Job) -> Job:
    """The same files, for workers that run in other folders."""
    return tuple(path.absolute() for path in job)


def _attempt_pickled(work: bytes, job: Job) -> Outcome:
    return _attempt(pickle.loads(work), job)


def _outcome(future: DaskFuture[Outcome], job: Job, scheduler: str) -> Outcome | None:
    """The result of a future; none if the workers died that had it."""
    from distributed import CancelledError, KilledWorker

    try:
        outcome: Outcome = future.result()
        return replace(outcome, job=job)
    except SpeechjemError:  # a setting or the model, which all jobs share
        raise
    except KilledWorker:
        return None
    except CancelledError as error:
        raise ClusterError(
            f"The Dask scheduler {scheduler} was lost; start it again, and go on (denoise with --skip-done)."
        ) from error
    except Exception as error:
        return Outcome(job, error=InputError(f"{job[0]} failed on a worker ({error!r}); see its log."))


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("A cluster needs Dask; run: pip install 'speechjem[dask]'.") from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters becomes an error here
    try:
        client = Client(**_place(scheduler))
    except OSError as error:
        raise ClusterError(
            f"No Dask scheduler answers at {scheduler}; start one, or check the address."
        ) from error
    with client:
        _check_versions(client)
        for warning in _warnings(client.scheduler_info()["workers"]):
            print(f"speechjem: {warning}", file=sys.stderr)
        yield client


def _place(scheduler: str) -> dict[str, str]:
    """The client's argument for an address or file, once it is plain that the client can use it."""
    from distributed.comm import get_address_host_port

    if scheduler.endswith(".json"):
        if not os.path.exists(scheduler):
            raise ClusterError(f"No such file: {scheduler}. Start the scheduler that writes it.")
        return {"scheduler_file": scheduler}
    try:
        get_address_host_port(scheduler)
    except ValueError as error:
        message = f"{scheduler!r} is no address of a Dask scheduler; give one like tcp://host:8786."
        raise UsageError(message) from error
    return {"address": scheduler}


def _check_versions(client: Client) -> None:
    """Workers of another version would make other outputs."""
    answers: dict[str, Any] = dict(client.get_versions(packages=["speechjem"]))  # type: ignore[arg-type]  # no coroutine
    here = answers["client"]["packages"]["speechjem"]
    for name, answer in {"The scheduler": answers["scheduler"], **answers["workers"]}.items():
        there = answer["packages"]["speechjem"]
        if there != here:
            found = f"speechjem {there}" if there else "no speechjem"
            raise ClusterError(f"{name} has {found}, but here is {here}; install the same everywhere.")


def _warnings(workers: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Why the cluster may never end."""
    if not workers:
        yield "the cluster has no workers yet; waiting for one."
    if any(0 < worker["memory_limit"] < MEMORY for worker in workers.values()):
        yield (
            f"a worker has less than {MEMORY / 1e9} GB of memory; Dask pauses those that reach 80 % of "
            "what they have, and nothing goes on. Start fewer or larger ones."
        )
