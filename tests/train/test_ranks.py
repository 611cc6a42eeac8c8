"""Two processes on this machine, joined by gloo, against one: the same fit."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from limbeck.train import ranks

SCRIPT = Path(__file__).parent / "ranked.py"
Found = dict[str, Any]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def carry_out(folder: Path, world: int) -> list[Found]:
    """Let as many processes carry out the script and return what each wrote."""
    folder.mkdir()
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    each = [common | {"RANK": str(n), "LOCAL_RANK": str(n), "OMP_NUM_THREADS": "1"} for n in range(world)]
    everyone = {**os.environ, "LIMBECK_CACHE": "off"}
    command = [sys.executable, str(SCRIPT), str(folder)]
    running = [subprocess.Popen(command, env=everyone | (one if world > 1 else {})) for one in each]
    try:
        assert [process.wait(timeout=60) for process in running] == [0] * world
    finally:
        for process in running:
            process.kill()
    return [json.loads((folder / f"rank-{n}.json").read_text()) for n in range(world)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return carry_out(tmp_path_factory.mktemp("alone") / "out", 1)[0]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    return carry_out(tmp_path_factory.mktemp("together") / "out", 2)


@pytest.mark.parametrize("how", ["additive", "in_parts"])
def test_losses_parts_and_accuracies_are_those_of_one_process(how: str, alone: Found, together: list[Found]) -> None:
    """15 samples a step for two processes, some slices with fewer labels than others."""
    assert len(alone["additive"]["history"]) == 3
    for mine, theirs in zip(alone["additive"]["history"], together[0][how]["history"], strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-5)
        assert theirs["parts"] == pytest.approx(mine["parts"], rel=1e-5)
        assert {**theirs, "loss": 0, "parts": 0} == {**mine, "loss": 0, "parts": 0}
    assert together[0][how]["best"] == alone["additive"]["best"]


@pytest.mark.parametrize("how", ["additive", "in_parts"])
def test_weights_are_those_of_one_process_a_terms_own_included(how: str, alone: Found, together: list[Found]) -> None:
    assert any("projection" in name for name in alone["additive"]["weights"])
    for name, value in alone["additive"]["weights"].items():
        found = torch.tensor(together[0][how]["weights"][name])
        torch.testing.assert_close(found, torch.tensor(value), rtol=1e-4, atol=1e-6)


def test_every_process_ends_with_the_same_weights_and_figures(together: list[Found]) -> None:
    first, second = together
    assert first["additive"] == second["additive"]
    assert first["random"]["unbroken"] == second["random"]["unbroken"]


def test_an_interrupted_fit_goes_on_to_the_same_weights_dropout_included(together: list[Found]) -> None:
    first, second = (one["random"] for one in together)
    assert (first["written"], second["written"]) == (True, False), "the first one alone writes checkpoints"
    assert {first["resumed"], second["resumed"]} == {first["unbroken"]}
    assert first["epochs"] == [1, 2, 3]


def test_every_process_draws_random_numbers_of_its_own(together: list[Found]) -> None:
    assert together[0]["random"]["draws"] != together[1]["random"]["draws"]


def test_what_they_tell_each_other(alone: Found, together: list[Found]) -> None:
    first, second = (one["said"] for one in together)
    assert (first["slice"], second["slice"]) == ([0, 1, 2, 3], [4, 5, 6])
    assert first["total"] == second["total"] == [3.0, 4.0]
    for name, expected in (("agree", [True, False]), ("from_first", ["first", ""]), ("nothing", None)):
        assert first[name] == second[name] == expected
    assert alone["said"]["slice"] == list(range(7))
    assert alone["said"]["agree"] == [True, False]


def test_a_script_gets_the_result_on_every_rank(together: list[Found]) -> None:
    first, second = (one["called"] for one in together)
    assert first == second
    assert first["said"] == first["has"]
    assert (Path(first["folder"]) / "report.json").is_file()


def test_one_process_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    layer = nn.Linear(2, 1)
    layer.weight.grad = torch.ones(1, 2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    ranks.seed_step(3, 4)
    ranks.average_gradients(layer)
    ranks.share_buffers(layer)
    ranks.mirror(tmp_path, ("file", "other"))
    assert (ranks.world(), ranks.rank(), ranks.is_first()) == (1, 0, True)
    assert torch.equal(torch.get_rng_state(), before)
    assert (tmp_path / "file").read_text() == "kept" and not (tmp_path / "other").exists()


def test_another_error_than_a_lost_process_passes() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), ranks.missing():
        raise RuntimeError("out of memory")
