"""Text files that are whole whenever somebody reads them."""

import pathlib

import pytest

from acme_agents.core import files


def test_a_file_is_the_new_one_or_the_one_before(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    files.write_whole(path, "one \u00b1")
    assert path.read_text(encoding="utf-8") == "one \u00b1" and [each.name for each in tmp_path.iterdir()] == ["a.json"]

    def fails(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", fails)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, "two")
    assert path.read_text(encoding="utf-8") == "one \u00b1"
