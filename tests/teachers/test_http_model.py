"""A teacher behind an address, against a real server on loopback that fails in every way that servers fail."""

from __future__ import annotations

import email.utils
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import BudgetError, FolderError, TeacherError, UserError
from limbeck.models.adapt import Normalise
from limbeck.teachers import http_model
from limbeck.teachers.asking import Asking, address_of, secrets_of
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.http_model import HttpTeacher, fingerprint
from limbeck.teachers.meter import Meter, Spent
from limbeck.types import Batch

GREY = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
QUICK: dict[str, Any] = {"backoff": 0.0, "retries": 2, "read": 5.0, "whole": 10.0, "connect": 5.0}
HASTY: dict[str, Any] = {"read": 0.4, "whole": 0.8}
CERTIFICATE = Path(__file__).with_name("loopback.pem")  # of 127.0.0.1, signed by itself, with its key: for tests alone

SLOW = ("timeout", "drip", "drip headers")
FAULTS = {
    "timeout": "no answer within 0.4 s",
    "drip": "the whole answer took longer than 0.8 s",
    "drip headers": "the whole answer took longer than 0.8 s",
    "truncated": "the answer ended after",
    "hang up": "the connection was closed without an answer",
    "status 429 0": r"status 429 word \(sorry\)",
    "status 500": "status 500 word",
    "status 503": "status 503 word",
    "html": "JSON is expected, got 20 bytes that are none",
    "shape": r"probabilities of the shape \[7, 10\] are expected, got \[7, 9\]",
    "rows": r"probabilities of the shape \[7, 10\] are expected, got \[6, 10\]",
    "nan": "finite numbers are expected, got nan in row 0",
    "sum": "probabilities are expected in 0..1, each row with the sum 1 within 0.001; the first row's sum is 0.9",
}


@pytest.fixture
def count(tmp_path: Path) -> Path:
    return tmp_path / "counts" / "asked"


def teacher(url: str, count: Path, *, feeding: Feeding | None = None, classes: Any = 10, **options: Any) -> HttpTeacher:
    asking = Asking(**{**QUICK, **options})
    meter = Meter(count, asking.budget, asking.rate)
    return HttpTeacher(
        address_of(url, asking.form), asking, feeding or Feeding(), classes, meter, secrets_of(asking.headers)
    )


def right(server: Any, inputs: torch.Tensor = GREY) -> torch.Tensor:
    return torch.from_numpy(server.answer(inputs.double().numpy())).float().softmax(1)


def test_the_open_inference_protocol(server: Any, count: Path) -> None:
    asked = teacher(server.v2, count, batch_size=3)
    said = asked(Batch(GREY))
    torch.testing.assert_close(said.logits.exp(), right(server), rtol=1e-5, atol=1e-6)
    assert asked.provides == {"probs", "labels"} and asked.asked == 7
    assert server.attempts == [3, 3, 1] and server.metadata == 1
    assert server.paths == ["/v2/models/digits", *["/v2/models/digits/infer"] * 3]
    body = server.bodies[0]
    assert body["inputs"][0]["shape"] == [3, 1, 8, 8] and body["inputs"][0]["datatype"] == "FP32"
    assert body["inputs"][0]["name"] == "pixels" and "outputs" not in body
    np.testing.assert_allclose(body["inputs"][0]["data"], GREY[:3].flatten())
    assert Meter(count).spent() == Spent(7, 4)


def test_names_and_version_are_said_as_given(server: Any, count: Path) -> None:
    asked = teacher(f"{server.v2}/versions/3/infer", count, input="x", output="probabilities", datatype="FP64")
    asked(Batch(GREY))
    assert server.metadata == 0 and server.paths == ["/v2/models/digits/versions/3/infer"]
    assert server.bodies[0]["inputs"][0]["name"] == "x" and server.bodies[0]["inputs"][0]["datatype"] == "FP64"
    assert server.bodies[0]["outputs"] == [{"name": "probabilities"}]


@pytest.mark.parametrize("says", ["probabilities", "logits", "labels"])
@pytest.mark.parametrize("form", ["v2", "plain"])
def test_what_it_says(server: Any, count: Path, says: str, form: str) -> None:
    server.says = says
    said = teacher(getattr(server, form), count, says=says)(Batch(GREY))
    if says == "labels":
        assert said.labels.tolist() == right(server).argmax(1).tolist() and said.labels.dtype == torch.int64
    else:
        torch.testing.assert_close(said.logits.softmax(1), right(server), rtol=1e-4, atol=1e-6)


def test_plain_json(server: Any, count: Path) -> None:
    teacher(f"{server.plain}?version=2", count, output="probabilities")(Batch(GREY))
    np.testing.assert_allclose(server.bodies[0]["inputs"], GREY)
    assert server.paths == ["/predict?version=2"] and server.metadata == 0


def test_it_is_fed_as_the_recipe_says(server: Any, count: Path) -> None:
    feeding = Feeding("nhwc", 255, (4, 6), Normalise([100.0], [50.0]))
    teacher(server.plain, count, feeding=feeding)(Batch(GREY))
    small = torch.nn.functional.interpolate(GREY, (4, 6), mode="bilinear", antialias=True)
    wanted = ((small * 255 - 100) / 50).permute(0, 2, 3, 1)
    np.testing.assert_allclose(server.bodies[0]["inputs"], wanted, rtol=1e-4, atol=1e-5)
    teacher(server.plain, count, datatype="UINT8")(Batch(GREY))
    np.testing.assert_array_equal(server.bodies[1]["inputs"], (GREY * 255).round())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_asked_about_again(server: Any, count: Path, fault: str) -> None:
    server.faults = [fault]
    said = teacher(server.v2, count, input="x", **(HASTY if fault in SLOW else {}))(Batch(GREY))
    torch.testing.assert_close(said.logits.exp(), right(server), rtol=1e-5, atol=1e-6)
    assert server.attempts == [7, 7] and Meter(count).spent() == Spent(14, 2), "every attempt counts"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_ends_with_a_sentence(server: Any, count: Path, fault: str) -> None:
    server.always = fault
    asked = teacher(server.plain, count, retries=1, **(HASTY if fault in SLOW else {}))
    with pytest.raises(TeacherError, match=f"{server.plain} gave no right answer in 2 attempts.*{FAULTS[fault]}"):
        asked(Batch(GREY))
    assert server.attempts == [7, 7] and asked.asked == 0 and Meter(count).spent() == Spent(14, 2)


def test_nobody_is_there(count: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TeacherError, match="3 attempts; the last one: connection refused"):
        teacher(f"http://127.0.0.1:{port}/predict", count)(Batch(GREY))
    assert Meter(count).spent() == Spent(21, 3)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("status 400 0 too_small", r"refuses the request, status 400 word \(too_small\); check teacher.source"),
        ("status 401", r"status 401 .*check the variables that teacher.http.headers names \(headers given: none\)"),
        ("status 404", "status 404"),
        ("redirect", "status 307 word; it sends elsewhere, and no secret is sent after it"),
    ],
)
def test_what_will_not_pass_is_not_asked_again(server: Any, count: Path, fault: str, sentence: str) -> None:
    server.always = fault
    with pytest.raises(UserError, match=sentence):
        teacher(server.plain, count)(Batch(GREY))
    assert len(server.attempts) == 1


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ('{"outputs": []}', 'an output "probabilities" is expected, got none; teacher.http.output'),
        ('{"outputs": [{"name": "a"}, {"name": "b"}]}', 'an output "probabilities" is expected, got a, b'),
        ('{"outputs": [{"name": "a", "shape": [7, "x"]}]}', "a shape of whole numbers is expected"),
        ('{"outputs": [{"name": "a", "shape": [7, 10], "data": [1, 2]}]}', "70 values are expected .*, got 2"),
        ('{"outputs": [{"name": "a", "shape": [1], "data": [[1], [1, 2]]}]}', "rows of one length are expected"),
        ('{"outputs": [{"name": "a", "shape": [1], "data": [{}]}]}', "numbers or names are expected"),
        ('{"outputs": [{"name": "a", "shape": [1], "data": 3}]}', "a list of values is expected, got 3"),
        ('{"outputs": 3}', 'a list "outputs" is expected in the answer, got 3'),
        ("[]", "a JSON object is expected"),
        ("[" * 100_000, "JSON is expected"),
    ],
)
def test_answers_that_are_none(
    server: Any, count: Path, monkeypatch: pytest.MonkeyPatch, output: str, sentence: str
) -> None:
    monkeypatch.setattr(server.RequestHandlerClass, "said", lambda self, values: output.encode())
    with pytest.raises(TeacherError, match=sentence):
        teacher(server.v2, count, input="x", retries=0)(Batch(GREY))


def test_probabilities_are_not_taken_for_logits(server: Any, count: Path) -> None:
    with pytest.raises(TeacherError, match="logits are expected, got rows in 0..1.*teacher.http.says: probabilities"):
        teacher(server.v2, count, says="logits", retries=0)(Batch(GREY))
    server.says = "logits"
    with pytest.raises(TeacherError, match="probabilities are expected .*teacher.http.says may be logits"):
        teacher(server.v2, count, retries=0)(Batch(GREY))


def test_labels_by_name_and_labels_that_are_none(server: Any, count: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple("abcdefghij")
    said: list[Any] = []
    monkeypatch.setattr(server.RequestHandlerClass, "said", lambda self, values: json.dumps({"labels": said}).encode())
    said += [list("jihgfed")]
    asked = teacher(server.plain, count, says="labels", classes=names, retries=0)
    said[:] = list("jihgfed")
    assert asked(Batch(GREY)).labels.tolist() == [9, 8, 7, 6, 5, 4, 3]
    for wrong, sentence in (
        (list("jihgfeX"), "names of its classes are expected, got 'X'"),
        ([0, 1, 2, 3, 4, 5, 10], r"labels 0\.\.9 are expected, got \[0, 1"),
        ([0, 1, 2, 3, 4, 5, 0.5], r"labels 0\.\.9 are expected"),
        ([0, 1], r"labels of the shape \[7\] are expected, got \[2\]"),
    ):
        said[:] = wrong
        with pytest.raises(TeacherError, match=sentence):
            asked(Batch(GREY))


def test_the_server_says_how_long_to_wait(server: Any, count: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http_model.time, "sleep", waits.append)
    date = email.utils.formatdate(time.time() + 20, usegmt=True).replace(" ", "_")
    server.faults = ["status 429 7", f"status 503 {date}", "status 429 nonsense"]
    teacher(server.plain, count, retries=3)(Batch(GREY))
    assert waits[0] == 7 and 17 < waits[1] <= 20 and waits[2] == 0
    server.faults = ["status 429 7"]
    with pytest.raises(TeacherError, match=r"asks to wait for 7 s \(status 429 word .*longest_wait"):
        teacher(server.plain, count, longest_wait=5)(Batch(GREY))


def test_waits_grow_are_drawn_and_end(server: Any, count: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http_model.time, "sleep", waits.append)
    server.always = "status 500"
    for _ in range(20):
        with pytest.raises(TeacherError):
            teacher(server.plain, count, retries=6, backoff=1.0, longest_wait=10)(Batch(GREY[:1]))
    each = np.array(waits).reshape(20, 6)
    assert (each <= [1, 2, 4, 8, 10, 10]).all() and (each >= 0).all()
    assert (each.max(0) > [0.5, 1, 2, 4, 5, 5]).all(), "they are not all short"
    assert len(np.unique(each)) == each.size, "they are drawn"


def test_the_budget_is_never_passed(server: Any, count: Path) -> None:
    server.faults = ["status 500", "", "nan", "hang up"]
    asked = teacher(server.plain, count, batch_size=3, budget=13, retries=9)
    with pytest.raises(BudgetError, match="budget allows 13 samples; 12 were sent.*and 3 more would be too many"):
        asked(Batch(GREY))
    assert sum(server.attempts) == 12 and Meter(count).spent().samples == 12
    with pytest.raises(BudgetError):
        teacher(server.plain, count, batch_size=2, budget=13)(Batch(GREY))
    assert sum(server.attempts) == 12, "another process goes on counting"
    teacher(server.plain, count, budget=13)(Batch(GREY[:1]))
    assert sum(server.attempts) == 13


def test_many_at_once_pass_no_budget(server: Any, count: Path) -> None:
    def ask(number: int) -> None:
        asked = teacher(server.plain, count, batch_size=1, budget=40)
        for _ in range(20):
            try:
                asked(Batch(GREY[number : number + 1]))
            except BudgetError:
                return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(server.attempts) == 40 == Meter(count).spent().samples


def test_the_rate_holds_for_all_together(server: Any, count: Path) -> None:
    both = [teacher(server.plain, count, batch_size=1, rate=50) for _ in range(2)]
    started = time.monotonic()
    threads = [threading.Thread(target=one, args=(Batch(GREY[:5]),)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 9 / 50


def test_a_count_that_cannot_be_read(server: Any, count: Path) -> None:
    count.parent.mkdir()
    count.write_text("many")
    with pytest.raises(FolderError, match="counts what the teacher was asked, but cannot be read"):
        teacher(server.plain, count)(Batch(GREY))


def test_connections_are_kept_and_opened_again(server: Any, count: Path) -> None:
    seen: set[Any] = set()
    take = server.get_request

    def noting() -> Any:
        found = take()
        seen.add(found[1])
        return found

    server.get_request = noting
    asked = teacher(server.plain, count, batch_size=1)
    asked(Batch(GREY))
    assert len(seen) == 1
    asked._link._connection.sock.shutdown(socket.SHUT_RDWR)
    asked(Batch(GREY))
    assert len(seen) == 2 and len(server.attempts) == 14, "a closed connection costs no attempt"


SECRET = "kY7-very/secret+value=="


def test_secrets_are_sent_and_never_told(server: Any, count: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    asked = teacher(server.plain, count, headers={"Authorization": "Bearer $MY_TOKEN", "X-Key": "${MY_TOKEN}"})
    asked(Batch(GREY))
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}" and server.headers[0]["X-Key"] == SECRET
    told = repr(vars(asked)) + repr(asked._secrets) + asked.fingerprint
    monkeypatch.setattr(
        server.RequestHandlerClass, "said", lambda self, values: json.dumps({"probabilities": SECRET * 2}).encode()
    )
    for fault in (f"status 401 0 bad_key:{SECRET}", f"status 500 0 {'x' * 190}{SECRET}", ""):
        server.always = fault
        with pytest.raises((UserError, TeacherError)) as error:
            asked(Batch(GREY))
        told += str(error.value) + repr(error.value.__cause__) + repr(error.value.__context__)
    assert all(SECRET[:n] not in told for n in range(8, len(SECRET) + 1)) and "***" in told


def test_secrets_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_TOKEN", raising=False)
    with pytest.raises(UserError, match="names the environment variable MY_TOKEN, which is not set"):
        secrets_of({"Authorization": "$MY_TOKEN"})
    monkeypatch.setenv("MY_TOKEN", "abcdef\r\nX: y")
    with pytest.raises(UserError, match="MY_TOKEN holds a character that no header can have") as error:
        secrets_of({"Authorization": "$MY_TOKEN"})
    assert "abcdef" not in str(error.value)


def test_certificates_are_verified(server: Any, count: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.wrap(CERTIFICATE)
    url = server.plain.replace("http:", "https:")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(UserError, match=r"certificate of 127\.0\.0\.1 is not trusted \(self.signed"):
        teacher(url, count)(Batch(GREY))
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    said = teacher(url, count)(Batch(GREY))
    torch.testing.assert_close(said.logits.exp(), right(server), rtol=1e-5, atol=1e-6)
    server.faults = ["drip"]
    teacher(url, count, **HASTY)(Batch(GREY))
    with pytest.raises(UserError, match=r"certificate of localhost is not trusted \(Hostname mismatch"):
        teacher(url.replace("127.0.0.1", "localhost"), count)(Batch(GREY))


def test_what_the_fingerprint_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(url: str = "http://a:1/v2/models/m", feeding: Feeding | None = None, **options: Any) -> str:
        return fingerprint(address_of(url, None), Asking(**options), feeding or Feeding(), 10)

    assert of() == of("http://a:1/v2/models/m/infer") == of(batch_size=7, budget=3, headers={"X": "$Y"}, retries=1)
    others = [
        of("http://b:1/v2/models/m"), of("http://a:2/v2/models/m"), of("http://a:1/v2/models/n"),
        of("http://a:1/v2/models/m/versions/2"), of(label="June"), of(says="logits"), of(output="o"),
        of(datatype="UINT8"), of(feeding=Feeding(scale=255)), of("https://a:1/v2/models/m"),
    ]  # fmt: skip
    assert len({of(), *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://user:pass@a/x", "an address with a user or password in it would be written into the run folder"),
        ("http://a:notaport/x", "expected http://host:port/path or https"),
        ("http:///x", "expected http://host:port/path, without blanks"),
        ("http://a/$KEY", "without blanks or variables"),
        ("http://a/b c", "without blanks or variables"),
    ],
)
def test_addresses_that_are_none(url: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        address_of(url, None)
    assert "pass@" not in str(error.value)


def test_the_form_of_an_address() -> None:
    assert address_of("http://a/v2/models/m/", None).form == "v2"
    assert address_of("https://[::1]:8443/x/", None).shown == "https://[::1]:8443/x/"
    assert address_of("https://a/score?key=1", None).shown == "https://a:443/score"
    with pytest.raises(UserError, match="expects an address that ends in /v2/models/NAME"):
        address_of("http://a/score", "v2")
