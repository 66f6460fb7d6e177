"""Threads and processes: the interpreter's lock is released, and a forked process has threads of its own."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import aez
import numpy as np
import pytest
from conftest import draw

PICTURE = draw(192, 192)


def a_call(name: str) -> Callable[[], object]:
    """A call that takes some tens of milliseconds or more."""
    if name == "encode":
        return lambda: aez.encode(PICTURE, model="photo", effort=2)
    if name == "decode":
        file = aez.encode(draw(768, 768))
        return lambda: aez.decode(file)
    if name == "preview":
        return lambda: aez.preview(PICTURE, bytes=200)
    text = aez.preview(PICTURE)
    return lambda: aez.decode_preview(text, 2000, 2000)


@pytest.mark.parametrize("name", ["encode", "decode", "preview", "decode_preview"])
def test_other_threads_run_meanwhile(name: str) -> None:
    """Two threads are within a call at once while this one counts. With the lock held, it could count between the calls only."""
    call = a_call(name)
    barrier = threading.Barrier(3)
    running = [False, False]

    def work(index: int) -> None:
        barrier.wait()
        running[index] = True
        call()
        running[index] = False

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    barrier.wait()
    count = 0
    while any(thread.is_alive() for thread in threads):
        count += all(running)
        time.sleep(0.001)
    print(f"{name}: {count}")
    assert count >= 5


def test_threads_give_the_same_files() -> None:
    pictures = [draw(50 + seed, 40, seed=seed) for seed in range(8)]

    def work(picture: np.ndarray) -> tuple[bytes, bytes]:
        data = aez.encode(picture, model="photo", effort=0)
        return data, aez.decode(data).tobytes()

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, pictures * 2))
    assert together == [work(picture) for picture in pictures] * 2


def work_in_child(queue: multiprocessing.Queue) -> None:
    queue.put(aez.encode(PICTURE, model="photo", effort=0))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_does_not_wait_for_threads_of_its_parent() -> None:
    expected = aez.encode(PICTURE, model="photo", effort=0)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=work_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=120) == expected
    finally:
        child.kill()
        child.join()
