"""A table of names and figures that leaves out columns rather than cutting what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

LONGEST_NAME = 24  # cells; a longer one may go on in the next line
GAP = 2  # cells between two columns


@dataclass(frozen=True)
class Narrowing:
    """Something for rich to print.

    columns: titles, the first that of the names; rows: a text for each column; spare: titles of the columns to
    leave out, in this order, until the rest fits the width of the console.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    spare: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = list(range(len(self.columns)))
        for title in self.spare:
            if self._width(kept) <= options.max_width:
                break
            kept.remove(self.columns.index(title))
        yield Padding(self._table(kept), (1, 0), expand=False)

    def _width(self, kept: Sequence[int]) -> int:
        return sum(self._cells(column) for column in kept) + GAP * (len(kept) - 1)

    def _cells(self, column: int) -> int:
        """Return the cells that a column needs."""
        longest = max(cell_len(text) for text in (self.columns[column], *(row[column] for row in self.rows)))
        return min(longest, LONGEST_NAME) if column == 0 else longest

    def _table(self, kept: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
        table.add_column(self.columns[0], overflow="fold", min_width=self._cells(0))
        for column in kept[1:]:
            table.add_column(self.columns[column], justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*(escape(row[column]) for column in kept))
        return table
