"""The commands. Data goes to stdout, progress and errors to stderr.

Exit codes: 0 done, 2 a user's mistake, 1 a failure, 130 Ctrl-C, 143 SIGTERM during a run. Nothing heavy is imported
before a command needs it, so `--help` and `predict` start without torch.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from limbeck.cli.evaluate import evaluate
from limbeck.cli.knowledge import knowledge, label
from limbeck.cli.printing import Json, print_found
from limbeck.cli.rank import complaint, launched_rank
from limbeck.cli.stop import INTERRUPTED, Stopped, sentence
from limbeck.errors import LimbeckError, RecipeError, UserError

app = typer.Typer(
    name="limbeck",
    help="Turn a large model into a small one that can be shipped, and prove what that cost.",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: limbeck demo",
    rich_markup_mode="rich",
)
console = Console(stderr=True, quiet=launched_rank() != 0)
UsageError: Any = typer.BadParameter.__base__  # of every mistake in the arguments; typer gives it no public name

Out = Annotated[Path | None, typer.Option(help="The run folder; otherwise runs/NAME, runs/NAME-2, ...")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing run folder.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Trust = Annotated[bool, typer.Option("--trust", help="Import the package.module:Class that the recipe names.")]
Profiled = Annotated[
    bool, typer.Option("--profile", help="Also write into profile/ where the time went, with a trace of a few steps.")
]
Track = Annotated[
    bool,
    typer.Option("--track", help="Insist on TensorBoard files; where the extra is installed, they are written anyway."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=V", help="Change a recipe's value; may be repeated.")
]


def main() -> None:
    """Run the command line and exit with its code."""
    if len(sys.argv) < 2:
        sys.argv.append("--help")
    try:
        code = app(prog_name="limbeck", standalone_mode=False)
    except LimbeckError as error:
        if (message := complaint(error, _told(error))) is not None:
            _complain(message)
        code = error.exit_code
    except Stopped as stop:
        _say_stopped(stop.command)
        code = stop.exit_code
    except UsageError as error:
        message = error.format_message()
        _complain(f"{message}{'' if message.endswith(('.', '?')) else '.'} See {_name_of(error)} --help.")
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        _complain(sentence(error))
        code = 1
    else:
        if code == INTERRUPTED:
            _say_stopped(None)
    sys.exit(code)


def _say_stopped(command: str | None) -> None:
    hint = f" Go on with: {command}" if command else ""
    console.print(f"Stopped.{escape(hint)}", highlight=False, soft_wrap=True)


def _told(error: LimbeckError) -> str:
    """Return an error's message, the only mistake of a recipe in one line."""
    if not isinstance(error, RecipeError) or len(error.mistakes) > 1:
        return str(error)
    (mistake,) = error.mistakes
    return mistake if mistake.startswith(error.source) else f"{error.source}: {mistake}"


def _complain(message: str) -> None:
    loud = Console(stderr=True)
    loud.print(f"[bold red]Error:[/bold red] {escape(message)}", highlight=False, soft_wrap=True)


def _name_of(error: Any) -> str:
    return error.ctx.command_path if error.ctx is not None else "limbeck"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"limbeck {version('limbeck')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn a large model into a small one that can be shipped, and prove what that cost."""


@app.command(epilog="Example: limbeck demo --out runs/first")
def demo(out: Out = None, resume: Resume = False, force: Force = False, device: Device = "auto") -> None:
    """Run the main job on built-in handwritten digits; the last line is the report's path."""
    from limbeck.cli.one_run import Asked, carry_out
    from limbeck.recipe.load import load_recipe
    from limbeck.recipe.shipped import shipped

    carry_out(load_recipe(shipped("demo.yaml")), Asked(out, resume, force, device, is_demo=True), console)


@app.command(
    epilog="Example: limbeck run digits.yaml --set student.train.epochs=50 --out runs/long\n\n"
    "Controls are kept in LIMBECK_CACHE, by default the user's cache folder; off switches that off."
)
def run(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe; limbeck init writes one.")],
    set_: Set = None,
    out: Out = None,
    resume: Resume = False,
    force: Force = False,
    device: Device = "auto",
    trust: Trust = False,
    profile: Profiled = False,
    track: Track = False,
    as_json: Json = False,
) -> None:
    """Train, compare with fair controls, export and report; the last line is the report's path."""
    from limbeck.cli.one_run import Asked, carry_out
    from limbeck.recipe.load import load_recipe

    asked = Asked(out, resume, force, device, trust=trust, as_json=as_json, profile=profile, track=track)
    carry_out(load_recipe(recipe, set_ or []), asked, console)


@app.command(epilog="Example: limbeck check photos.yaml && limbeck run photos.yaml")
def check(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe.")],
    set_: Set = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Find out what is wrong with a recipe before it is run; exit code 2 where there is a fault."""
    from limbeck.cli.tables import findings_table
    from limbeck.preflight.checks import preflight
    from limbeck.preflight.finding import has_fault
    from limbeck.recipe.load import load_recipe
    from limbeck.run.device import pick_device
    from limbeck.run.plan import plan_from_recipe

    found = preflight(plan_from_recipe(load_recipe(recipe, set_ or []), trust=trust), pick_device())
    print_found([asdict(finding) for finding in found], as_json, findings_table)
    if has_fault(found):
        raise typer.Exit(UserError.exit_code)


@app.command(
    epilog="Example: limbeck init photos/ && limbeck run photos.yaml\n\n"
    "Example: limbeck init patients.csv --label outcome && limbeck run patients.yaml"
)
def init(
    place: Annotated[
        Path,
        typer.Argument(
            help="A folder with one folder of pictures for each class; or a CSV file, or a folder with train.csv."
        ),
    ],
    label: Annotated[
        str | None, typer.Option(help="The class column of a table; otherwise label, target, class or y.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The recipe to write; otherwise PLACE's name.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented recipe for a folder of pictures or a table."""
    from limbeck.cli.init import write_recipe
    from limbeck.cli.init_table import write_table_recipe

    if place.suffix == ".csv" and not place.exists():
        raise UserError(f"There is no file {place}.")
    if place.is_file() or (place / "train.csv").is_file():
        print(write_table_recipe(place, label, out, force))
    elif label is not None:
        raise UserError(f"--label is for tables, but {place} is neither a CSV file nor a folder with train.csv.")
    else:
        print(write_recipe(place, out, force))


app.command(epilog="Example: limbeck label photos.yaml && limbeck run photos.yaml")(label)
app.add_typer(knowledge, name="knowledge")


@app.command(
    epilog="Example: limbeck rank timm:resnet50 torchvision:vgg16 run:runs/other --data folder:photos\n\n"
    "probe: accuracy of a linear classifier on the vector before the candidate's classifier, cross-validated, 0 to "
    "100 %. LogME: log evidence of the labels given that vector, any number. LEEP: log likelihood of the labels given "
    "the candidate's own answers, at most 0; a dash where it has no classifier of its own. Larger is better for each. "
    "Models of a library come with their pretrained weights unless they name others."
)
def rank(
    teachers: Annotated[
        list[str],
        typer.Argument(
            metavar="TEACHER...",
            help="run:DIR, timm:NAME, torchvision:NAME, hf:DIR, or a recipe's teacher in braces: "
            "'{source: file:W.safetensors, model: {resnet: {depth: 20}}}'.",
        ),
    ],
    data: Annotated[str, typer.Option(help="A source such as folder:photos, or a recipe (.yaml) whose data is meant.")],
    samples: Annotated[int, typer.Option(min=10, help="Labelled training samples that are asked about.")] = 2000,
    by: Annotated[str, typer.Option(help="What orders them: probe, logme or leep.")] = "probe",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Put candidates for a teacher in order before anything is trained, the best first."""
    from limbeck.cli.rank_teachers import ranked, ranking_table

    found = ranked(teachers, data, samples, by, device, console)
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        Console().print(ranking_table(found))


app.command(
    epilog="Example: limbeck evaluate runs/demo --data folder:new-photos --json\n\n"
    "Example: limbeck evaluate runs/demo --robust --corruptions noise,blur --budget 5\n\n"
    "Example: limbeck evaluate runs/demo --robust --attacks all --epsilon 2/255,8/255"
)(evaluate)


@app.command(epilog="Example: limbeck export runs/demo")
def export(folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")], trust: Trust = False) -> None:
    """Write the export/ folder of a run again: ONNX file, manifest, predict.py."""
    from limbeck.run.again import export_again

    print(export_again(folder, trust=trust))


@app.command(epilog="Example: limbeck predict runs/demo/export photo.jpg other.png")
def predict(
    bundle: Annotated[Path, typer.Argument(help="An export/ folder, or the run folder around it.")],
    files: Annotated[list[Path], typer.Argument(help="Pictures; or tables (.csv with a header; .npy).")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to list for each file.")] = 1,
    int8: Annotated[bool, typer.Option("--int8", help="Ask the int8 file.")] = False,
) -> None:
    """Print one JSON line for each file: file, class, probability. Uses ONNX Runtime alone."""
    from limbeck.export.predict import predict as answer

    failed = False
    for line in answer(bundle, files, top=top, int8=int8):
        if "error" in line:
            failed = True
            _complain(str(line["error"]))
        print(json.dumps(line, ensure_ascii=False), flush=True)
    if failed:
        raise typer.Exit(UserError.exit_code)


@app.command(epilog="Example: limbeck bench runs/demo --threads 1 --threads 4 --json > this-device.json")
def bench(
    bundle: Annotated[Path, typer.Argument(help="An export/ folder, or the run folder around it.")],
    threads: Annotated[list[int] | None, typer.Option(help="Threads to measure with; may be repeated.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each figure is measured.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Measure size, load time, latency and throughput of the exported files here. Uses ONNX Runtime alone."""
    from limbeck.cli.tables import bench_table
    from limbeck.export.bench import bench as measure

    print_found(measure(bundle, threads=threads or [1], seconds=seconds), as_json, bench_table)


@app.command(epilog="Example: limbeck report runs/demo runs/demo-2 --out both.html")
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    out: Annotated[Path | None, typer.Option(help="With several runs: also write a page that compares them.")] = None,
    bench: Annotated[
        list[Path] | None,
        typer.Option(help="JSON of limbeck bench or bench.py to put into the run's report; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Render the pages of finished runs again, and print their figures side by side."""
    from limbeck.cli.tables import runs_table
    from limbeck.report.comparison import differences, doubts
    from limbeck.run.compare import write_comparison
    from limbeck.run.measured import add_measurements
    from limbeck.run.pipeline import write_pages
    from limbeck.run.result import read_report

    if bench and len(folders) > 1:
        raise UserError(f"--bench belongs to one run, but {len(folders)} were named; name the one that was measured.")
    if bench:
        add_measurements(folders[0], bench)
    found = {str(folder): read_report(folder) for folder in folders}
    if out is not None:
        write_comparison(out, found)
    for folder, one in found.items():
        write_pages(Path(folder), one)
    print_found(found, as_json, runs_table)
    for text in (*differences(found), *doubts(found)) if len(found) > 1 else ():
        console.print(escape(text), highlight=False)
    if bench:
        console.print(
            f"{len(bench)} measurement(s) taken into {escape(str(folders[0] / 'report.html'))}", highlight=False
        )
    if out is not None and not as_json:
        print(out)


@app.command(epilog="Example: limbeck methods --json")
def methods(as_json: Json = False) -> None:
    """List the terms that an objective may have."""
    from limbeck.cli.tables import listing_table
    from limbeck.recipe.listing import terms

    print_found(terms(), as_json, listing_table)


@app.command(epilog="Example: limbeck models --json")
def models(as_json: Json = False) -> None:
    """List the architectures that a recipe may name."""
    from limbeck.cli.tables import listing_table
    from limbeck.recipe.listing import architectures

    print_found(architectures(), as_json, listing_table)


@app.command(epilog="Example: limbeck schema > limbeck.schema.json")
def schema() -> None:
    """Print the JSON Schema of a recipe, for editors."""
    from limbeck.recipe.model import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=2))
