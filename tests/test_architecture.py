"""What a reader may rely on: imports flow one way, functions and files stay short, light doors stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import limbeck

SOURCE = Path(limbeck.__file__).parent
FILES = sorted(path for path in SOURCE.rglob("*.py"))
ORDER = (
    {"types", "errors"},
    {"files"},
    {"data", "models"},
    {"teachers"},
    {"knowledge"},
    {"objectives"},
    {"robustness", "synthesis", "transfer"},
    {"train"},
    {"evaluate"},
    {"compress", "export"},
    {"report"},
    {"recipe"},
    {"run"},
    {"preflight"},
    {"cli"},
    {"api"},
    {"__main__", "__init__"},
)
RANKS = {name: rank for rank, names in enumerate(ORDER) for name in names}
LONGEST_FUNCTION, LONGEST_FILE = 80, 400
RUN = "sys.argv = ['limbeck', {}]\nfrom limbeck.cli import main\ntry: main()\nexcept SystemExit: pass"

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))


def part_of(path: Path) -> str:
    """Return the part of the package that a file belongs to: its folder, or its name at the top."""
    inside = path.relative_to(SOURCE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield every part of limbeck that is imported, in functions too but not for type checking alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("limbeck."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            words = (node.module or "").split(".")
            if words[0] == "limbeck":
                yield from [words[1]] if len(words) > 1 else [alias.name for alias in node.names]
        yield from imported(node)


def wrong_imports(part: str, code: str) -> list[str]:
    """Return the parts that this one may not import: those of its own rank and later, itself excepted."""
    names = [name for name in imported(ast.parse(code)) if name in RANKS and name != part]
    return [name for name in names if RANKS[name] >= RANKS[part]]


def test_the_rule_itself_notices_a_wrong_import() -> None:
    assert wrong_imports("data", "from limbeck.run.plan import Plan") == ["run"]
    assert wrong_imports("data", "def f():\n    import limbeck.models") == ["models"]
    assert wrong_imports("data", "from limbeck import train, errors") == ["train"]
    assert wrong_imports("data", "if TYPE_CHECKING:\n    from limbeck.run import plan") == []
    assert wrong_imports("train", "from limbeck.data.views import Views\nimport limbeck") == []


def test_every_part_has_its_place_in_the_order() -> None:
    assert {part_of(path) for path in FILES} <= RANKS.keys()


@every_file
def test_imports_go_one_way(path: Path) -> None:
    assert wrong_imports(part_of(path), path.read_text(encoding="utf-8")) == []


@every_file
def test_files_and_functions_are_short_and_modules_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says in its first line what it is"
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


@every_file
def test_no_part_is_called_utils(path: Path) -> None:
    assert not {"util", "utils", "helper", "helpers", "misc", "common", "manager"} & {
        path.stem,
        *path.parent.parts[-2:],
    }


def test_every_folder_of_code_is_a_package() -> None:
    assert all((path.parent / "__init__.py").is_file() for path in FILES)


@pytest.mark.parametrize(
    "code",
    [
        "import limbeck",
        "import limbeck.cli",
        "import limbeck.cli.app",
        "import limbeck.errors, limbeck.files, limbeck.types",
        "import limbeck.export.predict",
        "import limbeck.export.bench",
        RUN.format("'--help'"),
        RUN.format("'predict', '--help'"),
        RUN.format("'bench', '--help'"),
    ],
    ids=["limbeck", "cli", "app", "values", "predict", "bench", "--help", "predict --help", "bench --help"],
)
def test_these_do_not_import_torch(code: str) -> None:
    check = f"{code}\nassert not {{'torch', 'accelerate', 'sklearn'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"import sys\n{check}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
