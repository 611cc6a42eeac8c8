"""The number of threads of a fit."""

import torch

from limbeck.models import CNN, MLP
from limbeck.models.adapt import Adapted
from limbeck.models.work import multiply_adds
from limbeck.train.threads import SMALL_STEP, fitting_threads


def test_multiply_adds_of_one_sample() -> None:
    model = Adapted(MLP((1, 8, 8), 10, hidden=[32]), classes=10)
    assert multiply_adds(model, torch.rand(2, 1, 8, 8)) == 64 * 32 + 32 * 10
    conv = Adapted(CNN((1, 8, 8), 10, width=4, depth=1), classes=10)
    assert multiply_adds(conv, torch.rand(3, 1, 8, 8)) == 64 * 9 * 4 + 64 * 9 * 4 * 4 + 4 * 10


def test_small_steps_use_one_thread_and_the_number_is_put_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with fitting_threads(SMALL_STEP - 1, torch.device("cpu")) as threads:
            assert (threads, torch.get_num_threads()) == (1, 1)
        assert torch.get_num_threads() == 2
        with fitting_threads(SMALL_STEP, torch.device("cpu")) as threads:
            assert threads == 2
        with fitting_threads(0, torch.device("cuda")) as threads:
            assert threads == 2
    finally:
        torch.set_num_threads(before)
