"""Load and length: memory and files over time, threads, forks, interrupts, two processes."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from places import REFERENCE

import protonet
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.schema.read import parse_net, parse_solver

NET = f"""
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "{REFERENCE / "mnist-1k-lmdb"}" batch_size: 16 }}
  transform_param {{ crop_size: 20 mirror: true scale: 0.00390625 }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 6 kernel_size: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)


def solver(more="random_seed: 2"):
    text = f'net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 {more}'
    return protonet.get_solver(parse_solver(text), snapshot_prefix="run")


def used():
    """Return resident bytes and open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_and_files_stay_as_they_are():
    """SOAK=1800 makes it half an hour."""
    seconds = float(os.environ.get("SOAK", "4"))
    one = solver("random_seed: 2 snapshot: 500 test_iter: 2 test_interval: 250")
    one.keep.last = 2
    one.step(600)
    gc.collect()
    memory, files = used()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        one.step(250)
    gc.collect()
    now, files_now = used()
    print(
        f"{one.iter} iterations: {memory >> 20} MB, then {now >> 20} MB; {files} files, {files_now}"
    )
    assert files_now <= files
    assert now - memory < 8 << 20
    assert len(list(Path().glob("run_iter_*"))) == 6


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files are counted in /proc")
def test_nets_that_are_let_go_leave_nothing():
    def build():
        net = protonet.Net("net.prototxt", protonet.TRAIN)
        net.forward()
        net.close()

    build()
    gc.collect()
    files, running = used()[1], threading.active_count()
    for _ in range(5):
        build()
    gc.collect()
    assert used()[1] <= files
    assert threading.active_count() <= running


def test_two_trainings_in_one_process():
    """Step by step in turns they compute what each computes alone."""
    alone = solver()
    alone.step(20)
    one = solver()
    two = solver("random_seed: 3")
    for _ in range(20):
        two.step(1)
        one.step(1)
    assert np.array_equal(alone.net.param_data, one.net.param_data)
    assert not np.array_equal(one.net.param_data, two.net.param_data)


def test_nets_in_several_threads():
    """Trainings in threads of their own compute what each computes alone."""
    solvers = [solver(f"random_seed: {i}") for i in range(3)]
    workers = [threading.Thread(target=s.step, args=(30,)) for s in solvers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, trained in enumerate(solvers):
        alone = solver(f"random_seed: {i}")
        alone.step(30)
        assert np.array_equal(alone.net.param_data, trained.net.param_data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle():
    """The child goes on as the parent does."""
    one = solver()
    one.step(5)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            one.step(10)
            np.save("child.npy", one.net.param_data)
            code = 0
        finally:
            os._exit(code)
    one.step(10)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(np.load("child.npy"), one.net.param_data)


# --- interrupts -----------------------------------------------------------------------------------
@pytest.fixture
def three_threads():
    before = threads.count()
    threads.set_count(3)
    yield
    threads.set_count(before)


def all_help():
    """Whether three threads take part: each waits until there are so many."""
    together = threading.Barrier(3)

    def task(lo, hi, worker):
        if lo < 3:
            together.wait(timeout=10)

    threads.run(3, task)
    return not together.broken


def test_no_worker_goes_on_after_an_interrupt(three_threads):
    written = []

    def task(lo, hi, worker):
        if worker == 0:
            raise KeyboardInterrupt
        time.sleep(0.05)
        written.append(worker)

    with pytest.raises(KeyboardInterrupt):
        threads.run(3, task)
    count = len(written)
    time.sleep(0.1)
    assert len(written) == count
    parts = []
    threads.run(3, lambda lo, hi, worker: parts.append((lo, hi)))
    assert sorted(parts) == [(0, 1), (1, 2), (2, 3)]
    assert all_help()


@kernel("void(float32[::1], int64, int64)", shared=True)
def add_one(values, lo, hi):
    for i in range(lo, hi):
        values[i] += 1


def share_out(values):
    threads.share(add_one, values.size, values)


def run_through(values):
    def task(lo, hi, worker):
        for i in range(lo, hi):
            values[i] += 1

    threads.run(values.size, task)


# An interrupt that hits a callback of the collector is dropped by Python, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("do", [run_through, share_out])
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_interrupts_at_random_moments(three_threads, do):
    """As a notebook's: after each one everything still works, and no lock is held."""
    rng = random.Random(4)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for _ in range(150):
            done = np.zeros(3000, np.float32)
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 4e-4))
                end = time.monotonic() + 0.02
                while time.monotonic() < end:
                    done[:] = 0
                    do(done)
            except KeyboardInterrupt:
                interrupted += 1
            after = np.zeros(3000, np.float32)
            do(after)
            assert (after == 1).all()
            assert done.max() <= 1
        assert all_help()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 100


def test_a_training_that_is_interrupted_goes_on():
    one = solver()
    one.step(3)

    def interrupt():
        if one.iter == 5:
            raise KeyboardInterrupt

    one.add_callback(interrupt, lambda: None)
    with pytest.raises(KeyboardInterrupt):
        one.step(10)
    one._callbacks.clear()
    one.step(5)
    assert one.iter == 10
    assert np.isfinite(one.losses[-1])


# --- processes side by side ---------------------------------------------------------------------
BUILD = """
import protonet, sys
from protonet.data.mnist import BundledMnist
source = BundledMnist("test", "lmdb").open("mnist_test_lmdb")
net = protonet.Net("small.prototxt", protonet.TRAIN)
net.forward()
print(len(source), float(net.blobs["y"].data.sum()))
"""


def test_two_processes_build_the_same_caches(tmp_path):
    """The bundled database and compiled kernels, at the same moment, from nothing."""
    (tmp_path / "small.prototxt").write_text(
        'layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 3 dim: 2 } '
        'data_filler { type: "constant" value: 2 } } } '
        'layer { name: "y" type: "ELU" bottom: "x" top: "y" }'
    )
    env = {
        **os.environ,
        "PROTONET_CACHE": str(tmp_path / "cache"),
        "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD], env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert out.split() == ["10000", "12.0"]
    assert [p.name for p in (tmp_path / "cache" / "data").iterdir()] == ["mnist_test_lmdb"]


# --- names, encodings, line ends ----------------------------------------------------------------
def test_text_files_with_marks_and_line_ends(tmp_path):
    """UTF-8 with a byte order mark and CRLF; file names with spaces and letters of all kinds."""
    folder = tmp_path / "größe Ω 图 and spaces"
    folder.mkdir()
    from PIL import Image

    Image.fromarray(np.full((6, 5), 7, np.uint8)).save(folder / "bild ü.png")
    (folder / "liste é.txt").write_bytes("\ufeffbild ü.png 3\r\nbild ü.png 4\r\n".encode())
    text = f"""layer {{ name: "daten ß" type: "ImageData" top: "data" top: "label"
      image_data_param {{ source: "liste é.txt" batch_size: 2 root_folder: "{folder}/"
        is_color: false }} }}"""
    (folder / "netz.prototxt").write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    net = protonet.Net(folder / "netz.prototxt")
    out = net.forward()
    assert out["label"].tolist() == [3, 4]
    assert net.layers[0].name == "daten ß"
    net.save(folder / "gewichte.caffemodel")
    assert parse_net('layer { name: "x" type: "Input" top: "x" }\r\n').message.layer[0].name == "x"
