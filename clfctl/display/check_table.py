"""What was found in a data folder, as a table for the terminal, and the progress of looking."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.data.findings import KINDS, Finding
from clfctl.storage.names import plain

N_FIRST = 3
STYLES = {"tiny": "yellow", "duplicate": "yellow", "double": "dim"}


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print a table of the kinds of findings, worst first."""
    console.print(findings_table(findings))


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return the table: kind, what it means, count, and the first files, one a line."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("found", no_wrap=True)
    table.add_column("files", justify="right", no_wrap=True)
    table.add_column("first files", overflow="fold")
    for kind, meaning in KINDS.items():
        files = [plain(each.file) for each in findings if each.kind == kind]
        if not files:
            continue
        first = [*files[:N_FIRST], *(["…"] if len(files) > N_FIRST else [])]
        style = STYLES.get(kind, "red")
        table.add_row(Text.assemble((kind, style), f"\n{meaning}"), str(len(files)), Text("\n".join(first)))
    return table
