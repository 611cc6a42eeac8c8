from __future__ import annotations

import getpass
import platform
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.run.surroundings import PACKAGES, environment, peak_memory_mib


def test_the_environment_names_versions_and_machine() -> None:
    found = environment(torch.device("cpu"))
    assert torch.__version__.startswith(found["torch"])
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version()
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert set(PACKAGES) < set(found)


def test_the_environment_tells_nothing_about_the_user() -> None:
    said = " ".join(str(value) for value in environment(torch.device("cpu")).values())
    assert str(Path.home()) not in said
    assert getpass.getuser() not in said.split()
    assert platform.node() not in said.split()


def test_a_package_that_is_missing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.run.surroundings.PACKAGES", ("no-such-package-at-all",))
    assert environment(torch.device("cpu"))["no-such-package-at-all"] is None


def test_peak_memory_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert kibibytes // 1024 <= peak_memory_mib() <= kibibytes // 1024 + 64
    monkeypatch.setattr("sys.platform", "darwin")
    assert peak_memory_mib() < kibibytes // 1024
