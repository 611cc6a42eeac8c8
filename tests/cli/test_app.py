from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMMANDS = (
    "demo", "run", "init", "evaluate", "export", "predict", "bench", "report", "methods", "models", "check", "schema",
)  # fmt: skip
QUICK = (
    "--set", "seeds=1", "--set", "export.onnx=false", "--set", "student.train.steps=5",
    "--set", "teacher.train.steps=5", "--set", "controls=[labels]",
)  # fmt: skip


def interrupt(*given: object, **named: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def digit(workplace: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)).save(workplace / "digit.png")
    return workplace / "digit.png"


def test_run_prints_the_reports_path_alone(call, tiny):
    answer = call("run", tiny, *QUICK)

    assert (answer.code, answer.out) == (0, "runs/tiny/report.html\n")
    assert Path("runs/tiny/report.html").is_file()
    assert answer.err.startswith("Training the teacher ...\nTraining the student and its controls ...\n")
    verdict = json.loads(Path("runs/tiny/report.json").read_text())["verdict"]["sentence"]
    assert verdict in " ".join(answer.err.split())
    assert "\r" not in answer.err
    assert "\x1b" not in answer.err
    assert max(map(len, answer.err.splitlines())) <= 80


@pytest.mark.usefixtures("quick_page")
def test_second_run_gets_a_folder_of_its_own(call, tiny):
    assert [call("run", tiny, *QUICK).out for _ in range(2)] == ["runs/tiny/report.html\n", "runs/tiny-2/report.html\n"]
    assert call("run", tiny, *QUICK, "--out", "runs/tiny").code == 2
    assert call("run", tiny, *QUICK, "--out", "runs/tiny", "--force").code == 0


@pytest.mark.usefixtures("quick_page")
def test_run_json_is_the_report(call, tiny):
    answer = call("run", tiny, *QUICK, "--json", "--out", "here", "--set", "controls=[]")

    assert json.loads(answer.out) == json.loads(Path("here/report.json").read_text())
    assert json.loads(answer.out)["verdict"] is None


@pytest.mark.usefixtures("quick_page")
def test_demo(call, tiny, monkeypatch):
    text = tiny.read_text().replace("epochs: 6", "steps: 5").replace("seeds: 2", "seeds: 1\nexport: {onnx: false}")
    tiny.write_text(text)
    monkeypatch.setattr("limbeck.recipe.shipped.shipped", lambda name: tiny)

    answer = call("demo")

    assert (answer.code, answer.out) == (0, "runs/tiny/report.html\n")
    assert Path("runs/tiny/report.html").is_file()


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize(("moment", "told"), [("record", None), ("done", "Going on after 1 finished fit ...")])
def test_interrupted_run_goes_on(call, tiny, monkeypatch, moment, told):
    with monkeypatch.context() as patch:
        patch.setattr(f"limbeck.cli.progress.Bars.{moment}", interrupt)
        answer = call("run", tiny, *QUICK, "--out", "out")

    assert (answer.code, answer.out) == (130, "")
    hint = "Stopped. Go on with: limbeck run out/recipe.yaml --out out --resume"
    assert answer.err.splitlines()[-1] == hint
    assert "Traceback" not in answer.err

    again = call(*hint.partition("limbeck ")[2].split())
    assert (again.code, again.out) == (0, "out/report.html\n")
    assert [line for line in again.err.splitlines() if "finished fit" in line] == ([told] if told else [])


def test_run_interrupted_before_its_folder_says_no_more_than_that(call, tiny, monkeypatch):
    monkeypatch.setattr("limbeck.cli.one_run.plan_from_recipe", interrupt)

    answer = call("run", tiny)

    assert (answer.code, answer.err) == (130, "Stopped.\n")


def test_other_commands_have_nothing_to_resume(call, monkeypatch):
    monkeypatch.setattr("limbeck.recipe.listing.terms", interrupt)

    assert call("methods")[::2] == (130, "Stopped.\n")


@pytest.mark.usefixtures("quick_page")
def test_notes_on_the_data_are_printed(call, tiny):
    rows = np.random.default_rng(0).integers(0, 256, (12, 9, 9), dtype=np.uint8)
    for number, row in enumerate(rows):
        for split in ("train", "test") if number == 0 else ("train" if number < 8 else "test",):
            path = tiny.parent / "photos" / split / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(row).save(path)

    answer = call("run", tiny, *QUICK, "--set", "data.source=folder:photos")

    assert answer.code == 0
    assert "1 of 5 test samples are identical to a training or validation sample." in " ".join(answer.err.split())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_process_says_how_to_go_on(tiny, number, code):
    program = [sys.executable, "-m", "limbeck", "run", "tiny.yaml", "--set", "student.train.steps=1000000"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
    with subprocess.Popen(program, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, before)
        try:
            for line in process.stderr:
                if "student" in line:
                    break
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, out) == (code, "")
    assert err.endswith("Stopped. Go on with: limbeck run runs/tiny/recipe.yaml --out runs/tiny --resume\n")
    assert "Traceback" not in err
    assert Path("runs/tiny/state.json").is_file()


def test_init_writes_a_recipe_that_parses(call, workplace):
    from limbeck.recipe.load import load_recipe

    for name in ("cat", "dog"):
        for number in range(4):
            path = workplace / "my photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30)).save(path)

    answer = call("init", "my photos")

    assert (answer.code, answer.out) == (0, "my-photos.yaml\n")
    recipe = load_recipe(Path("my-photos.yaml"))
    assert (recipe.name, recipe.data.source, recipe.data.size) == ("my-photos", "folder:my photos", 40)
    assert max(map(len, Path("my-photos.yaml").read_text().splitlines())) <= 120
    assert call("init", "my photos").code == 2
    assert call("init", "my photos", "--force").code == 0


def test_command_in_the_first_comment_is_a_quick_run_elsewhere(call, workplace, monkeypatch):
    for name in ("cat", "dog"):
        (workplace / "photos" / name).mkdir(parents=True)
        Image.new("L", (16, 16)).save(workplace / "photos" / name / "1.png")
    call("init", "photos", "--out", "my photos.yaml")
    lines = Path("my photos.yaml").read_text().splitlines()
    comment = " ".join(line.removeprefix("#").removesuffix("\\") for line in lines[1:3])
    command = shlex.split(comment)
    started = []
    monkeypatch.setattr("limbeck.cli.one_run.carry_out", lambda *given, **named: started.append(given))

    assert command[0] == "limbeck"
    assert call(*command[1:]).code == 0
    ((recipe, asked, _),) = started
    assert (recipe.seeds, recipe.teacher.train.epochs, recipe.student.train.epochs) == (1, 1, 1)
    assert (asked.out, asked.resume, asked.force) == (Path("runs/check"), False, True)


def test_evaluate_repeats_the_reports_figures(call, finished_run, workplace):
    answer = call("evaluate", finished_run, "--json")

    assert answer.code == 0
    report = json.loads((finished_run / "report.json").read_text())
    found = json.loads(answer.out)
    assert found.keys() == report["models"].keys()
    student = report["models"]["student"]
    best = report["seeds"].index(student["best_seed"])
    assert found["student"]["accuracy"]["values"] == [student["metrics"]["accuracy"]["values"][best]]


def test_evaluate_prints_a_table(call, finished_run, workplace):
    answer = call("evaluate", finished_run)

    assert answer.code == 0
    assert "teacher_labels" in answer.out
    assert answer.out.startswith("Figures of each model's kept seed")
    assert max(map(len, answer.out.splitlines())) <= 80


def test_predict_prints_json_lines(call, finished_run, digit):
    answer = call("predict", finished_run, digit, digit, "--top", 3)

    assert (answer.code, answer.err) == (0, "")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert lines[0] == lines[1]
    assert lines[0]["file"] == str(digit)
    assert lines[0]["class"] in map(str, range(10))
    assert len(lines[0]["top"]) == 3


def test_predict_asks_the_int8_file(call, finished_run, digit):
    plain, small = (call("predict", finished_run, digit, *more) for more in ((), ("--int8",)))

    assert (small.code, small.err) == (0, "")
    assert json.loads(small.out)["class"] in map(str, range(10))
    assert json.loads(small.out)["probability"] != json.loads(plain.out)["probability"]


def test_bench_prints_a_table_or_json(call, finished_run):
    table = call("bench", finished_run, "--threads", 1, "--threads", 2, "--seconds", 0.01)
    listed = call("bench", finished_run, "--seconds", 0.01, "--json")

    assert (table.code, table.err) == (0, "")
    assert [line.split()[:2] for line in table.out.splitlines() if line.startswith("student")] == [
        ["student.onnx", "1"], ["student.onnx", "2"], ["student.int8.onnx", "1"], ["student.int8.onnx", "2"],
    ]  # fmt: skip
    assert max(map(len, table.out.splitlines())) <= 80
    assert json.loads(listed.out)["files"].keys() == {"student.onnx", "student.int8.onnx"}
    wrong = call("bench", finished_run, "--threads", 0)
    assert (wrong.code, wrong.out) == (2, "")
    assert "--threads expects 1 or more, got 0." in wrong.err


def test_a_measurement_goes_into_the_report(call, finished_run, workplace):
    shutil.copytree(finished_run, "copy")
    Path("device.json").write_text(call("bench", "copy", "--seconds", 0.01, "--json").out)

    answer = call("report", "copy", "--bench", "device.json", "--bench", "device.json", "--json")

    assert answer.code == 0
    measured = json.loads(answer.out)["copy"]["export"]["measured"]
    assert measured == json.loads(Path("copy/report.json").read_text())["export"]["measured"]
    assert len(measured) == 1
    assert "Measured on devices" in Path("copy/report.html").read_text()
    assert "Measured on devices" in Path("copy/report.md").read_text()
    both = call("report", "copy", finished_run, "--bench", "device.json")
    assert both.code == 2
    assert "--bench belongs to one run, but 2 were named" in " ".join(both.err.split())


def test_a_bundle_is_evaluated_file_by_file(call, finished_run, workplace):
    for number in range(4):
        path = workplace / "more" / "37"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)).save(path)

    answer = call("evaluate", finished_run / "export", "--data", "folder:more", "--json")

    assert answer.code == 0
    assert json.loads(answer.out).keys() == {"student.onnx", "student.int8.onnx"}


def test_export_again(call, finished_run, tmp_path, workplace):
    shutil.copytree(finished_run, "copy")
    before = json.loads(Path("copy/export/manifest.json").read_text())
    shutil.rmtree("copy/export")

    answer = call("export", "copy")

    assert (answer.code, answer.out) == (0, "copy/export\n")
    after = json.loads(Path("copy/export/manifest.json").read_text())
    assert after["source_hash"] == before["source_hash"]
    assert (after["seed"], after["temperature"]) == (before["seed"], before["temperature"])


def test_report_renders_again_and_compares(call, finished_run, workplace):
    shutil.copytree(finished_run, "copy")
    before = Path("copy/report.html").read_bytes()
    Path("copy/report.html").unlink()

    answer = call("report", "copy", finished_run)

    assert answer.code == 0
    assert Path("copy/report.html").read_bytes() == before
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "verdict" in answer.out
    assert list(json.loads(call("report", "copy", "--json").out)) == ["copy"]


@pytest.mark.parametrize(("command", "name"), [("methods", "soft_labels"), ("models", "lenet5_half")])
def test_listings(call, command, name):
    table, listed = call(command), call(command, "--json")

    assert name in table.out
    assert max(map(len, table.out.splitlines())) <= 80
    assert name in [row["name"] for row in json.loads(listed.out)]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(call, command):
    answer = call(command, "--help")

    assert answer.code == 0
    assert re.search(rf"Example: limbeck {command}\b", answer.out)
    assert max(map(len, answer.out.splitlines())) <= 80


def test_help_of_run_tells_of_the_cache(call):
    assert "LIMBECK_CACHE" in call("run", "--help").out


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(call, arguments):
    answer = call(*arguments)

    assert answer.code == 0
    for command in COMMANDS:
        assert f" {command} " in answer.out


def test_version(call):
    assert call("--version").out == f"limbeck {version('limbeck')}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["predict", "{run}", "{file}"]])
def test_starts_without_torch(finished_run, digit, arguments):
    given = [argument.format(run=finished_run, file=digit) for argument in arguments]
    program = (
        "import sys; from limbeck.cli import main\n"
        f"sys.argv = ['limbeck', *{given!r}]\n"
        "try: main()\n"
        "except SystemExit as stopped: assert not stopped.code, stopped.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, env={**os.environ, "COLUMNS": "80"}
    )


def test_closed_pipe_is_no_error(finished_run, digit):
    program = f"{sys.executable} -m limbeck predict {finished_run} {digit} {digit} | true"
    answer = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)

    assert answer.stderr == ""
