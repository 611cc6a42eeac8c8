from __future__ import annotations

import pytest
import torch

from limbeck.errors import UserError
from limbeck.run.device import pick_device


def test_cpu_is_always_there():
    assert pick_device("cpu") == torch.device("cpu")


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for there, wanted in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device().type == wanted


@pytest.mark.parametrize("name", ["gpu", "", "cuda 0", "CPU"])
def test_name_of_no_device(name):
    with pytest.raises(UserError, match="--device expects auto, cpu, cuda or mps, got"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cuda", "mps", "meta", "xpu"])
def test_device_that_is_not_there(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"There is no device '{name}' on this machine"):
        pick_device(name)


def test_a_card_is_chosen_outside(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    assert pick_device("cuda") == torch.device("cuda")
    with pytest.raises(UserError, match="choose the card with CUDA_VISIBLE_DEVICES, got 'cuda:1'"):
        pick_device("cuda:1")
