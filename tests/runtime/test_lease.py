"""Of two learners of a run, the older one ends."""

import pathlib

import pytest

from acme_agents.runtime.lease import Lease, Superseded


def test_the_newest_holder_has_the_lease(tmp_path: pathlib.Path) -> None:
    older = Lease(tmp_path)
    older.check()
    newer = Lease(tmp_path)
    newer.check()
    with pytest.raises(Superseded, match="Another learner"):
        older.check()


def test_a_lease_that_cannot_be_read_is_nobody_elses(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    lease = Lease(tmp_path)
    (tmp_path / "learner.lease").unlink()
    lease.check()
    assert "cannot be read" in caplog.text
