"""Which of several processes speaks, and of what."""

from __future__ import annotations

import pytest

from limbeck.cli.rank import complaint, launched_rank
from limbeck.errors import Failure, LimbeckError, LostError, UserError


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert launched_rank() == 0
    assert complaint(UserError("wrong"), "wrong") == "wrong"


@pytest.mark.parametrize(
    ("rank", "local", "error", "said"),
    [
        ("0", "0", LostError(""), "it"),
        ("0", "0", UserError(""), "it"),
        ("1", "1", UserError(""), None),
        ("8", "0", UserError(""), "Rank 8: it"),
        ("1", "1", Failure(""), "Rank 1: it"),
        ("8", "0", LostError(""), None),
    ],
)
def test_a_sentence_is_said_once_on_each_machine(
    monkeypatch: pytest.MonkeyPatch, rank: str, local: str, error: LimbeckError, said: str | None
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", local)
    assert complaint(error, "it") == said
