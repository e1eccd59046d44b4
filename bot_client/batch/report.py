"""A report of an output file: one HTML page with figures and plots, which needs nothing else to be shown."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from bot_client.batch.figures import Figures, figures_of
from bot_client.batch.verdict_lines import rows_of
from understudy.errors import InvalidRequest
from understudy.money import dollars
from understudy.words import printable, span

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NBSP = "\u00a0"
LACKING = "A report needs plotly: install it with `pip install 'understudy[ops]'`."


def require_plotly() -> None:
    """Say early, not after hours, that a report could not be made.

    Raises:
        InvalidRequest: plotly is not installed.
    """
    try:
        import plotly  # type: ignore[import-untyped] # noqa: F401, PLC0415 - an extra, and slow to load
    except ImportError:
        raise InvalidRequest(LACKING) from None


def write_report(verdicts: Path, out: Path, title: str = "") -> None:
    """Write the report of an output file.

    Raises:
        InvalidRequest: plotly is not installed, or one of the files cannot be read or written.
    """
    require_plotly()
    page = page_of(figures_of(rows_of(verdicts)), title or verdicts.name)
    try:
        out.write_text(page, "utf-8")
    except OSError as error:
        raise InvalidRequest(f"The report {out} cannot be written: {error.strerror}.") from None


def page_of(figures: Figures, title: str) -> str:
    """The page."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, and slow to load

    from bot_client.batch.plots import plots_of  # noqa: PLC0415 - as above

    parts = {
        "title": _safe(title),
        "when": _when(figures),
        "cards": "\n".join(_card(*card) for card in _cards(figures)),
        "plots": "\n".join(
            f"<section><h2>{_safe(plot.title)}</h2><p>{_safe(plot.text)}</p>{plot.html}</section>"
            for plot in plots_of(figures)
        ),
        "answerers": _rows(_answerers(figures)),
        "errors": _rows([(name, f"{n:,}") for name, n in figures.errors.most_common()]),
        "errors_class": "" if figures.errors else "none",
        "plotly": get_plotlyjs(),
    }
    return Template((files("bot_client.batch") / "report.html").read_text("utf-8")).substitute(parts)


def _cards(figures: Figures) -> list[tuple[str, str, str]]:
    """What each is, its figure, and its share of all rows."""
    rows, asked = figures.rows, figures.sources.get("asked", 0)
    counts = [(f"verdict {name}", n) for name, n in figures.verdicts.most_common()]
    counts += [("errors", figures.errors.total()), ("more than one attempt", figures.again)]
    cards = [("rows", f"{rows:,}", ""), ("asked of a model", f"{asked:,}", "")]
    cards += [(name, f"{n:,}", f"{100 * n / rows:.1f}{NBSP}%" if rows else "") for name, n in counts]
    cards.append(("cost", dollars(figures.cost_microusd), ""))
    if figures.first_s is not None and figures.last_s is not None:
        cards.append(("from first to last", span((figures.last_s - figures.first_s) * 1000), ""))
    return cards


def _card(name: str, value: str, share: str) -> str:
    beside = f"<i>{share}</i>" if share else ""
    return f"<div><b>{value}</b>{beside}<span>{_safe(name)}</span></div>"


def _answerers(figures: Figures) -> list[tuple[str, ...]]:
    rows = sorted(figures.answerers.items(), key=lambda row: -row[1].rows)
    table = []
    for (provider, model), answerer in rows:
        verdicts = ", ".join(f"{name} {_share(n, answerer.rows)}" for name, n in answerer.verdicts.most_common())
        half, most = answerer.durations.quantile(0.5), answerer.durations.quantile(0.95)
        times = ["-" if ms is None else span(ms) for ms in (half, most)]
        cost = dollars(answerer.cost_microusd)
        table.append((provider, model, _share(answerer.rows, figures.rows), verdicts, *times, cost))
    return table


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)


def _share(number: int, total: int) -> str:
    return f"{number:,} ({100 * number / total:.1f}{NBSP}%)" if total else f"{number:,}"


def _when(figures: Figures) -> str:
    if figures.first_s is None:
        return ""
    return datetime.fromtimestamp(figures.first_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _safe(text: str) -> str:
    return html.escape(printable(text))
