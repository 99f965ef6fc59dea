"""Metrics: rows in, bytes out; cut back to a checkpoint; what is left after a kill or a full disk."""

import math
import resource
import struct
import sys
import types

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from acme_agents.runtime import loggers


def _row(steps, **columns):
    return {"actor_steps": steps, "learner_steps": steps // 2, "walltime": steps / 8, **columns}


def _events(run_dir):
    """Every TensorBoard event of a run, in the order written."""
    events = []
    for path in sorted((run_dir / "tensorboard").iterdir(), key=lambda path: int(path.suffix[1:])):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])  # then 4 bytes of checksum, the event, 4 bytes of checksum
            events.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return events


def _scalars(run_dir):
    return [(v.tag, e.step, v.simple_value) for e in _events(run_dir) for v in e.summary.value]


def test_numbers_are_written_in_their_shortest_round_trip_form(tmp_path):
    table = loggers.CsvTable(tmp_path / "t.csv")
    table.write({"a": 3, "b": 0.1 + 0.2, "c": np.float32(0.1), "d": np.array(7), "e": math.nan, "f": True})
    table.write({"b": 1e-12, "a": 10**12})
    expected = "a,b,c,d,e,f\n3,0.30000000000000004,0.1,7,nan,1\n1000000000000,1e-12,,,,\n"
    assert (tmp_path / "t.csv").read_text() == expected


def test_reopened_table_keeps_its_header_and_a_new_one_names_a_new_column(tmp_path):
    table = loggers.CsvTable(tmp_path / "t.csv")
    table.write({"a": 1, "b": 2})
    with pytest.raises(ValueError, match="has no column loss; its columns are a, b"):
        table.write({"a": 1, "loss": 2})
    table = loggers.CsvTable(tmp_path / "t.csv")  # of a run whose agent logs more since it was begun
    table.write({"b": 4, "loss": 2})
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,2\n,4\n"


@pytest.mark.parametrize("value", [np.zeros(1), "3", None])
def test_a_value_that_is_not_one_number_is_named_and_nothing_is_written(tmp_path, value):
    table = loggers.CsvTable(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="Column loss takes one number"):
        table.write({"a": 1, "loss": value})
    assert table.offset() == 0


@pytest.mark.parametrize("reopen", [False, True])
@pytest.mark.parametrize("checkpoint_at", [0, 3])
def test_truncate_and_replay_gives_identical_bytes(tmp_path, checkpoint_at, reopen):
    rows = [{"a": i, "b": i / 3} for i in range(6)]
    table = loggers.CsvTable(tmp_path / "t.csv")
    offsets = []
    for row in rows:
        offsets.append(table.offset())
        table.write(row)
    whole = (tmp_path / "t.csv").read_bytes()
    assert table.offset() == len(whole)
    if reopen:
        table = loggers.CsvTable(tmp_path / "t.csv")
    table.truncate(offsets[checkpoint_at])
    assert table.offset() == offsets[checkpoint_at]
    for row in rows[checkpoint_at:]:
        table.write(row)
    assert (tmp_path / "t.csv").read_bytes() == whole


def test_truncate_past_the_end_keeps_all_and_to_zero_allows_another_header(tmp_path):
    table = loggers.CsvTable(tmp_path / "t.csv")
    table.truncate(100)  # no file yet
    table.write({"a": 1})
    table.truncate(100)
    assert (tmp_path / "t.csv").read_text() == "a\n1\n"
    table.truncate(0)
    table.write({"b": 2})
    assert (tmp_path / "t.csv").read_text() == "b\n2\n"
    with pytest.raises(ValueError, match="got -1"):
        table.truncate(-1)


def test_half_written_last_line_is_not_read_and_is_dropped_on_reopen(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,")
    columns = loggers.read_csv(path)
    np.testing.assert_array_equal(columns["a"], [1.0])
    np.testing.assert_array_equal(columns["b"], [2.0])
    loggers.CsvTable(path).write({"a": 5, "b": 6})
    assert path.read_text() == "a,b\n1,2\n5,6\n"


def test_half_written_header_is_no_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("actor_st")
    assert loggers.read_csv(path) == {}
    loggers.CsvTable(path).write({"actor_steps": 5})
    assert path.read_text() == "actor_steps\n5\n"


def test_read_csv_gives_float64_columns_with_nan_for_empty_cells(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,\n2,nan\n3,0.5\n")
    columns = loggers.read_csv(path)
    assert columns["a"].dtype == np.float64
    np.testing.assert_array_equal(columns["b"], [np.nan, np.nan, 0.5])


@pytest.mark.parametrize("line", ["1", "1,2,3", "1,x"])
def test_read_csv_names_the_broken_line(tmp_path, line):
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n1,2\n{line}\n3,4\n")
    with pytest.raises(ValueError, match="line 3: expected 2 numbers"):
        loggers.read_csv(path)


def test_disk_that_fills_up_within_a_row_raises_and_leaves_whole_lines(tmp_path):
    table = loggers.CsvTable(tmp_path / "t.csv")
    table.write({"a": 1, "b": 2})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (table.offset() + 5, before[1]))  # room for half of the next row
    try:
        with pytest.raises(OSError):
            table.write({"a": 123456, "b": 123456})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,2\n"
    table.write({"a": 3, "b": 4})
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,2\n3,4\n"


def test_run_logger_writes_csv_and_tensorboard(tmp_path):
    logger = loggers.RunLogger(tmp_path / "run")
    logger.write("learner", _row(8, loss=0.5, kl=math.nan))
    logger.write("evaluator", _row(16, episode_return=250.0))
    expected = "actor_steps,learner_steps,walltime,loss,kl\n8,4,1.0,0.5,nan\n"
    assert (tmp_path / "run" / "learner.csv").read_text() == expected
    scalars = _scalars(tmp_path / "run")  # readable before close: rows are flushed
    logger.close()
    logger.close()
    assert [s for s in scalars if s[0].startswith("learner")] == [
        ("learner/learner_steps", 8, 4.0),
        ("learner/walltime", 8, 1.0),
        ("learner/loss", 8, 0.5),
    ]
    assert ("evaluator/episode_return", 16, 250.0) in scalars


def test_run_logger_refuses_unknown_tables_and_missing_common_columns(tmp_path):
    logger = loggers.RunLogger(tmp_path)
    with pytest.raises(ValueError, match="no table critic; the tables are actor, learner, evaluator"):
        logger.write("critic", _row(1))
    with pytest.raises(ValueError, match=r"actor\.csv lacks learner_steps, walltime"):
        logger.write("actor", {"actor_steps": 1})
    assert logger.offsets() == {"actor": 0, "learner": 0, "evaluator": 0}


def test_restored_run_is_the_run_that_never_stopped(tmp_path):
    def write(logger, steps):
        for i in steps:
            logger.write("actor", _row(i, episode_return=i / 7))
            if i >= 20:
                logger.write("evaluator", _row(i, episode_return=i / 3))

    whole = loggers.RunLogger(tmp_path / "whole")
    write(whole, [10, 20, 30])
    killed = loggers.RunLogger(tmp_path / "killed")
    write(killed, [10])
    offsets = killed.offsets()
    write(killed, [20])  # after the checkpoint, and the first row of evaluator.csv
    resumed = loggers.RunLogger(tmp_path / "killed")
    resumed.restore(offsets)
    write(resumed, [20, 30])
    for table in ("actor", "evaluator"):
        resumed_bytes = (tmp_path / "killed" / f"{table}.csv").read_bytes()
        assert resumed_bytes == (tmp_path / "whole" / f"{table}.csv").read_bytes()
    # The two processes wrote files of their own, in the same second; the second hides what came after step 10.
    assert len(list((tmp_path / "killed" / "tensorboard").iterdir())) == 2
    restarts = [e.step for e in _events(tmp_path / "killed") if e.HasField("session_log")]
    assert restarts == [11]


def test_restore_of_a_table_that_has_a_header_alone(tmp_path):
    (tmp_path / "actor.csv").write_text("actor_steps,learner_steps,walltime\n1,")  # killed within the first row
    logger = loggers.RunLogger(tmp_path)
    logger.restore(logger.offsets())
    logger.write("actor", _row(8))
    assert (tmp_path / "actor.csv").read_text() == "actor_steps,learner_steps,walltime\n8,4,1.0\n"


def test_run_on_a_dataset_alone_counts_learner_steps(tmp_path):
    logger = loggers.RunLogger(tmp_path)
    logger.write("learner", {"actor_steps": 0, "learner_steps": 40, "walltime": 1.0})
    assert _scalars(tmp_path) == [("learner/learner_steps", 40, 40.0), ("learner/walltime", 40, 1.0)]
    logger.restore(logger.offsets())
    assert [e.step for e in _events(tmp_path) if e.HasField("session_log")] == [41]


def test_full_disk_reaches_the_caller(tmp_path):
    (tmp_path / "actor.csv").symlink_to("/dev/full")
    logger = loggers.RunLogger(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        logger.write("actor", _row(1))


def test_wandb_that_is_not_installed_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^W&B is not installed: pip install wandb, or leave out --wandb\.$"):
        loggers.RunLogger(tmp_path / "run", wandb=True)
    assert not (tmp_path / "run").exists()


def test_wandb_gets_the_rows_and_a_resumed_run_keeps_its_id(tmp_path, monkeypatch):
    inits, logs = [], []
    run = types.SimpleNamespace(define_metric=lambda *a, **k: None, log=logs.append, finish=lambda: logs.append("end"))
    fake = types.SimpleNamespace(init=lambda **kwargs: inits.append(kwargs) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: object())
    for _ in range(2):
        logger = loggers.RunLogger(tmp_path / "run", wandb=True, config={"gamma": 0.99})
        logger.write("learner", _row(8, loss=math.nan, kl=0.25))
        logger.close()
    row = {"learner/learner_steps": 4.0, "learner/walltime": 1.0, "learner/kl": 0.25, "step": 8}
    assert logs == [row, "end", row, "end"]
    assert inits[0]["config"] == {"gamma": 0.99} and inits[0]["name"] == "run"
    assert inits[0]["id"] == inits[1]["id"]
