from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

QUICK = ("--robust", "--corruptions", "jpeg", "--severities", "1,3", "--samples", "40")


@pytest.mark.usefixtures("quick_page")
def test_it_prints_figures_and_writes_the_report(finished_run, tmp_path, call):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    code, out, err = call("evaluate", run, *QUICK)
    assert code == 0
    assert "jpeg: 1 of 1" in err
    assert "corrupted" in out
    assert "student.onnx" in out
    report = json.loads((run / "report.json").read_text())
    assert report["robustness"]["verdict"]["sentence"][:30] in " ".join(out.split())
    assert (run / "report.html").read_text() == "page"
    assert "## Robustness" in (run / "report.md").read_text()

    code, out, err = call("evaluate", run, *QUICK, "--json", "--budget", "0.00001")
    assert code == 0
    assert json.loads(out) == report["robustness"]  # nothing was left to ask

    code, out, err = call("evaluate", run, "--robust", "--samples", "41", "--budget", "0.00001")
    assert "The budget ended after 0 of 18 corruptions; the same command goes on." in " ".join(err.split())


@pytest.mark.parametrize(("options", "said"), [
    (("--corruptions", "jpeg"), "--corruptions goes with --robust"),
    (("--budget", "1"), "--budget goes with --robust"),
    (("--robust", "--severities", "1,x"), "--severities are whole numbers from 1 to 5, such as 1,3,5; got 'x'"),
    (("--robust", "--severities", "7"), "severities are whole numbers from 1 to 5, got 7"),
    (("--robust", "--corruptions", "blurr"), "no corruption 'blurr' of pictures; did you mean blur?"),
])  # fmt: skip
def test_mistakes_get_a_sentence(finished_run, call, options, said):
    code, _, err = call("evaluate", finished_run, *options)
    assert code == 2
    assert said in " ".join(err.split())


ATTACKS = ("--robust", "--corruptions", "none", "--samples", "30", "--attacks", "fgsm,square", "--epsilon", "8/255,0.1")


@pytest.mark.usefixtures("quick_page")
def test_attacks_are_printed_and_written(finished_run, tmp_path, call):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    code, out, err = call("evaluate", run, *ATTACKS)
    assert code == 0
    assert "square within 0.1: 4 of 4" in err
    assert "8/255" in out
    assert "The worst of them within 0.1: " in " ".join(out.split())
    assert "## Under attack" in (run / "report.md").read_text()
    code, out, err = call("evaluate", run, *ATTACKS, "--samples", "31", "--budget", "0.00001")
    assert "The budget ended after 0 of 0 corruptions and before all attacks" in " ".join(err.split())


@pytest.mark.parametrize(("options", "said"), [
    (("--attacks", "pgd"), "--attacks goes with --robust"),
    (("--robust", "--epsilon", "0.1"), "--epsilon goes with --attacks"),
    (("--robust", "--norm", "l2"), "--norm goes with --attacks"),
    (("--robust", "--attacks", "pgd", "--epsilon", "8"), "got 8; eight grey levels of 255 are 8/255"),
    (("--robust", "--attacks", "pgd", "--epsilon", "eight"), "--epsilon expects numbers in 0..1 such as 8/255 or 0.1"),
    (("--robust", "--attacks", "pgd", "--epsilon", "1/0"), "--epsilon expects numbers"),
    (("--robust", "--attacks", "pdg"), 'Did you mean "pgd"'),
])  # fmt: skip
def test_mistakes_about_attacks_get_a_sentence(finished_run, call, options, said):
    code, _, err = call("evaluate", finished_run, *options)
    assert code == 2
    assert said in " ".join(err.split())
