"""Reading back what runs measured: metrics files, run folders, logs of real Caffe."""

import json

import pytest

from protonet.errors import DataError
from protonet.watch.history import from_glog, read_history

# The lines that BVLC Caffe 1.0 writes; numbers are made up.
LOG = """\
Log file created at: 2017/04/20 10:00:00
I0420 10:00:00.123456  4242 caffe.cpp:218] Using CPU
I0420 10:00:00.123460  4242 net.cpp:84] Creating Layer conv1
I0420 10:00:00.200000  4242 solver.cpp:279] Solving LeNet
I0420 10:00:00.200001  4242 solver.cpp:280] Learning Rate Policy: inv
I0420 10:00:00.300000  4242 solver.cpp:337] Iteration 0, Testing net (#0)
I0420 10:00:01.300000  4242 solver.cpp:404]     Test net output #0: accuracy = 0.1067
I0420 10:00:01.300001  4242 solver.cpp:404]     Test net output #1: loss = 2.36 (* 1 = 2.36 loss)
I0420 10:00:01.310000  4242 net.cpp:619]     [Backward] Layer ip2, param blob 0 diff: 0.008
I0420 10:00:01.310001  4242 net.cpp:619]     [Backward] Layer ip2, param blob 1 diff: 0.03
I0420 10:00:01.310002  4242 net.cpp:608]     [Backward] Layer ip2, bottom blob ip1 diff: 0.0005
I0420 10:00:01.310003  4242 net.cpp:619]     [Backward] Layer conv1, param blob 0 diff: 1.5e-05
I0420 10:00:01.320000  4242 solver.cpp:228] Iteration 0, loss = 2.33
I0420 10:00:01.320001  4242 solver.cpp:244]     Train net output #0: loss = 2.33 (* 1 = 2.33 loss)
I0420 10:00:01.320002  4242 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0420 10:00:01.330000  4242 net.cpp:633]     [Update] Layer conv1, param 0 data: 0.2; diff: 0.001
I0420 10:00:04.000000  4242 solver.cpp:239] Iteration 100 (37.3 iter/s, 2.68s/100 iters), loss = nan
I0420 10:00:04.000001  4242 solver.cpp:258]     Train net output #0: loss = nan (* 1 = nan loss)
I0420 10:00:04.000002  4242 sgd_solver.cpp:112] Iteration 100, lr = 0.00992565
I0420 10:00:05.000000  4242 solver.cpp:347] Iteration 500, Testing net (#1)
I0420 10:00:05.000001  4242 data_layer.cpp:73] Restarting data prefetching from start.
I0420 10:00:06.000000  4242 solver.cpp:414]     Test net output #0: per_class = 0.5
I0420 10:00:06.000001  4242 solver.cpp:414]     Test net output #1: per_class = 0.75
"""


def test_a_log_of_caffe():
    history = from_glog(LOG.splitlines(), "log")
    assert history.net == "LeNet"
    assert history.heads == ["loss"]
    assert [(r["iter"], r["lr"]) for r in history.train] == [(0, 0.01), (100, 0.00992565)]
    assert history.train[1]["per_second"] == 37.3
    assert history.train[0]["outputs"] == {"loss": 2.33}
    assert history.tests == [
        {"iter": 0, "net": 0, "outputs": {"accuracy": 0.1067, "loss": 2.36}},
        {"iter": 500, "net": 1, "outputs": {"per_class": [0.5, 0.75]}},
    ]
    assert history.gradients[0]["params"] == [
        {"layer": "conv1", "index": 0, "gradient": 1.5e-05, "weight": 0.2, "ratio": 0.005},
        {"layer": "ip2", "index": 1, "gradient": 0.03},
        {"layer": "ip2", "index": 0, "gradient": 0.008},
    ]
    assert history.flow("gradient")["ip2", 0] == ([0], [0.008])
    assert history.outputs(history.tests) == ["accuracy", "loss"]


def test_the_oldest_logs():
    lines = [
        "I1015 15:16:23.1 2099 solver.cpp:87] Iteration 0, Testing net",
        "I1015 15:16:23.2 2099 solver.cpp:114] Test score #0: 0.9897",
        "I1015 15:16:23.3 2099 solver.cpp:106] Iteration 100, loss = 0.25",
    ]
    history = from_glog(lines)
    assert history.tests == [{"iter": 0, "net": 0, "outputs": {"score 0": 0.9897}}]
    assert history.train[0]["loss"] == 0.25


def lines(*records):
    return "\n".join(json.dumps(r) for r in records) + "\n"


RUN = {"event": "run", "net": "N", "heads": ["loss"], "max_iter": 9}
TRAIN = {"event": "train", "iter": 3, "lr": 0.1, "loss": 2.0, "outputs": {"loss": 2.0}}


def test_metrics_of_a_folder_of_a_run_that_goes_on(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(lines(RUN, TRAIN, {"event": "later kind"}) + '{"eve')
    for place in (tmp_path, tmp_path / "metrics.jsonl"):
        history = read_history(place)
        assert history.name == tmp_path.name
        assert history.curve(history.train, "outputs/loss") == ([3], [2.0])


ERRORS = [
    (
        "folder",
        None,
        "",
        "no metrics.jsonl in this folder: expected a run folder",
    ),
    ("gone", "gone.log", None, "gone.log: no such file or folder"),
    ("another program", "x.log", "[INFO] epoch 1\n", "x.log: no training of Caffe's in this file"),
    (
        "another program with glog",
        "x.log",
        "I0420 10:00:00.123456  4242 server.cc:84] Iteration of requests\n",
        "x.log: no training of Caffe's in this file",
    ),
    ("binary", "x.bin", "\0\1\2", "no training of Caffe's"),
    ("not JSON", "metrics.jsonl", "{}\n{}\n", "metrics.jsonl:1: expected a record of a training"),
    ("nothing", "metrics.jsonl", lines(RUN), "the run came to no iteration: nothing was measured"),
]


@pytest.mark.parametrize("name, text, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(tmp_path, name, text, message):
    place = tmp_path / name if name else tmp_path
    if name and text is not None:
        place.write_text(text)
    with pytest.raises(DataError) as caught:
        read_history(place)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
