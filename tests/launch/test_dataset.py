"""What `acme-agents dataset` prints, draws and converts, and its one sentence for what it cannot read or write."""

import pathlib
import shutil

import matplotlib.image
import numpy as np
import pytest

from acme_agents import datasets, environments
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory
from acme_agents.launch import main as cli
from tests.datasets import toys

_ENVIRONMENT = "gym:Pendulum-v1"


@pytest.fixture(scope="module")
def spec() -> EnvironmentSpec:
    return environments.spec(environments.make(_ENVIRONMENT, 0))


@pytest.fixture
def pendulum(tmp_path: pathlib.Path, spec: EnvironmentSpec) -> pathlib.Path:
    """Three episodes of 4, 2 and 4 steps and of returns 8, -1 and 20; the second terminated."""
    episodes = []
    for length, reward, final in ((4, 2, 1.0), (2, -0.5, 0.0), (4, 5, 1.0)):
        observation = np.linspace((0, -1, 3), (2, 1, 3), length + 1)
        action = np.linspace(-1, 0.5, length)[:, None]
        discount = np.append(np.ones(length - 1), final)
        episodes.append(Trajectory(observation, action, np.full(length, reward), discount))
    datasets.save(tmp_path / "pendulum-v0", episodes, spec, environment=_ENVIRONMENT, policy="random")
    return tmp_path / "pendulum-v0"


def test_it_says_what_is_in_a_dataset(pendulum: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(("dataset", str(pendulum)))
    assert capsys.readouterr().out == (
        f"{pendulum}: a Minari dataset of gym:Pendulum-v1\n"
        "episodes  3: 1 terminated, 2 truncated\n"
        "steps     10\n"
        "lengths   mean 3.3333, std 0.94281; 5% 2.2, 25% 3, 50% 4, 75% 4, 95% 4; the least 2, the most 4\n"
        "returns   mean 9, std 8.6023; 5% -0.1, 25% 3.5, 50% 8, 75% 14, 95% 18.8; the best 20 (episode 2)\n"
        "\n"
        "field           dtype    lowest  highest   mean      std\n"
        "observation[0]  float32       0        2      1   0.7338\n"  # the root of 7 / 13
        "observation[1]  float32      -1        1      0   0.7338\n"
        "observation[2]  float32       3        3      3        0\n"
        "action[0]       float32      -1      0.5  -0.25  0.60208\n"  # the root of 0.3625
        "reward          float32    -0.5        5    2.7   2.0881\n"  # the root of 4.36
        "Actions are those that agents see: -1 and 1 are the environment's bounds.\n"
        "constant: observation[2] (always 3).\n"
    )


def test_what_is_wrong_with_the_numbers_is_said(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    import h5py

    observations, rewards = np.arange(20.0).reshape(10, 2), np.ones(10)
    observations[[2, 3], [0, 0]], rewards[9] = np.nan, np.inf
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["observations"], file["rewards"], file["actions"] = observations, rewards, np.zeros((10, 20))
        file["terminals"], file["timeouts"] = np.arange(10) == 4, np.arange(10) == 6
    cli.main(("dataset", str(tmp_path / "a.hdf5")))
    out = capsys.readouterr().out
    assert "episodes  3: 1 terminated, 2 truncated (1 without a sign of it)\n" in out
    assert "NaN: observation[0] in up to 2 of 11 rows.\n" in out
    assert "constant: 20 of 20 numbers of action (always 0).\n" in out
    assert "2 truncated episodes lack their final observation, and so their last row is no step.\n" in out


def test_it_draws_returns_lengths_and_actions(pendulum: pathlib.Path, tmp_path: pathlib.Path) -> None:
    cli.main(("dataset", str(pendulum), "--output", str(tmp_path / "new" / "a.png")))
    picture = matplotlib.image.imread(tmp_path / "new" / "a.png")[:, :, :3]
    third = picture.shape[1] // 3
    for panel, colour in enumerate(((0, 114, 178), (0, 158, 115), (213, 94, 0))):
        here = np.abs(picture[:, panel * third : (panel + 1) * third] - np.divide(colour, 255)).max(axis=2) < 0.01
        assert here.mean() > 0.03, panel


def test_it_converts_to_each_format_and_back(
    pendulum: pathlib.Path, tmp_path: pathlib.Path, spec: EnvironmentSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pendulum
    for form, name in (("d4rl", "a.hdf5"), ("minari", "b-v0"), ("d4rl", "c.hdf5")):
        cli.main(("dataset", str(path), "--convert", form, "--to", str(tmp_path / name)))
        path = tmp_path / name
        assert capsys.readouterr().out.endswith(f"{path}\n")
        toys.assert_same(datasets.load(path, spec), datasets.load(pendulum, spec))
    cli.main(("dataset", str(pendulum), "--convert", "d3rlpy", "--to", str(tmp_path / "d.h5")))
    assert "note: d3rlpy's files have no observation after a termination: those of 1 ep" in capsys.readouterr().out


def test_a_mistake_gets_one_sentence(
    pendulum: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("years")
    cli.main(("dataset", str(pendulum), "--convert", "d4rl", "--to", str(tmp_path / "whole.hdf5")))
    (tmp_path / "cut.hdf5").write_bytes((tmp_path / "whole.hdf5").read_bytes()[:3000])
    shutil.copytree(pendulum, tmp_path / "cut-v0")
    (tmp_path / "cut-v0" / "data" / "main_data.hdf5").write_bytes(b"")
    to = ("--convert", "d4rl", "--to")
    for *arguments, sentence in (
        ("nowhere", "there is no dataset"),
        ("empty", "empty is no dataset that is known here"),
        ("text", "text is no dataset that is known here"),
        ("cut.hdf5", "cut.hdf5 is damaged or incomplete"),
        ("cut-v0", "data is damaged or incomplete"),
        ("pendulum-v0", *to, "text", "is there already: write the dataset to another path"),
        ("pendulum-v0", *to, "text/new", "cannot write the dataset"),
        ("pendulum-v0", "--convert", "d4rl", "go together: give both or neither"),
        ("pendulum-v0", "--output", "a.txt", "its suffix has to be one of"),
        ("pendulum-v0", "--output", "text/a.png", "give another --output"),
        ("pendulum-v0", *to, "new", "--env", "gym:Nowhere-v0", "gym:Nowhere-v0"),
    ):
        found = [
            str(tmp_path / word) if i == 0 or arguments[i - 1] in ("--to", "--output") else word
            for i, word in enumerate(arguments)
        ]
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(("dataset", *found))
        said = capsys.readouterr().err
        assert ended.value.code == 2 and sentence in said, said
        assert said.startswith("error: ") and said.count("\n") == 1


def test_a_picture_has_one_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = np.zeros((3, 8, 8, 2), np.uint8)
    pictures[0], pictures[:, 0, 0, 0] = 30, 200
    seen = EnvironmentSpec(ArraySpec((8, 8, 2), "uint8"), ArraySpec((1,)))
    episode = Trajectory(pictures, np.zeros((2, 1)), np.ones(2), np.ones(2))
    datasets.save(tmp_path / "a-v0", [episode], seen, environment="probe:a", policy="random")
    cli.main(("dataset", str(tmp_path / "a-v0")))
    out = capsys.readouterr().out
    whole = pictures.astype(np.float64)
    (line,) = (line for line in out.splitlines() if line.startswith("observation"))
    cells = " ".join(line.split())
    assert cells == f"observation [8, 8, 2] uint8 0 200 {whole.mean():.5g} {whole.std():.5g}"
    assert "constant: observation[0, 0, 0] (always 200).\n" in out
