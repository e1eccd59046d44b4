"""The plots of a report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from bot_client.batch.figures import PER_DECADE, Figures
from bot_client.batch.verdict_lines import ERROR
from understudy.words import printable, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# of Okabe and Ito: told apart by colour-blind readers, on light and on dark ground
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
ERRORS = "#c4314b"
HEIGHT = 320
CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}


@dataclass(frozen=True)
class Plot:
    """One plot, with what it shows."""

    title: str
    text: str
    html: str


def plots_of(figures: Figures) -> Iterator[Plot]:
    """All plots that these figures give."""
    providers = list(dict.fromkeys(provider for provider, _ in sorted(figures.answerers)))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(providers)} | {ERROR: ERRORS}
    if figures.verdicts:
        yield Plot("Verdicts", "Rows by verdict, and who gave it.", _verdicts(figures, providers, colour))
    if figures.violations:
        text = "What the messages break, by the models' judgement."
        yield Plot("Violations", text, _violations(figures))
    if any(answerer.durations.buckets for answerer in figures.answerers.values()):
        text = "From opening a call to its answer, waits included; rows that were asked for only."
        yield Plot("Latency", text, _latency(figures, providers, colour))
    if figures.course.spans:
        text = f"Rows in each {span(figures.course.width_s * 1000)}, by who answered."
        yield Plot("Providers over time", text, _course(figures, [*providers, ERROR], colour))


def _verdicts(figures: Figures, providers: Sequence[str], colour: dict[str, str]) -> str:
    names = [name for name, _ in reversed(figures.verdicts.most_common())]
    bars = []
    for provider in providers:
        counts = [
            sum(a.verdicts[name] for (who, _), a in figures.answerers.items() if who == provider) for name in names
        ]
        bars.append(go.Bar(y=names, x=counts, name=_label(provider), orientation="h", marker_color=colour[provider]))
    return _html(bars, barmode="stack", xaxis_title="rows")


def _violations(figures: Figures) -> str:
    rows = list(reversed(figures.violations.most_common()))
    names, counts = [_label(name) for name, _ in rows], [number for _, number in rows]
    return _html([go.Bar(y=names, x=counts, orientation="h", marker_color=COLOURS[2])], xaxis_title="rows")


def _latency(figures: Figures, providers: Sequence[str], colour: dict[str, str]) -> str:
    lines = []
    for provider in providers:
        buckets = Counter[int]()
        for (who, _), answerer in figures.answerers.items():
            if who == provider:
                buckets.update(answerer.durations.buckets)
        if not buckets:
            continue
        keys = range(min(buckets) - 1, max(buckets) + 2)
        total = buckets.total()
        lines.append(
            go.Scatter(
                x=[10 ** (key / PER_DECADE) for key in keys],
                y=[100 * buckets[key] / total for key in keys],
                name=_label(provider),
                line={"shape": "hvh", "color": colour[provider]},
                fill="tozeroy",
                hovertemplate="%{x:.0f} ms: %{y:.1f} %",
            )
        )
    ticks = [10**n * m for n in range(7) for m in (1, 2, 5)]
    axis = {"type": "log", "tickvals": ticks, "ticktext": [span(ms) for ms in ticks]}
    return _html(lines, xaxis=axis, yaxis_ticksuffix=" %", yaxis_title="share of answers")


def _course(figures: Figures, names: Sequence[str], colour: dict[str, str]) -> str:
    spans = figures.course.filled()
    times = [datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None) for at_s, _ in spans]
    known = [name for name in names if any(counts[name] for _, counts in spans)]
    bars = [
        go.Bar(x=times, y=[counts[name] for _, counts in spans], name=_label(name), marker_color=colour[name])
        for name in known
    ]
    return _html(bars, barmode="stack", bargap=0, yaxis_title="rows", xaxis_title="UTC")


def _html(traces: list[Any], **layout: Any) -> str:
    figure = go.Figure(traces)
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        showlegend=len(traces) > 1,
        dragmode=False,
        **layout,
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    text: str = figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG, default_height=HEIGHT)
    return text


def _label(name: str) -> str:
    """Plotly reads a part of HTML in its labels."""
    return printable(name).replace("&", "&amp;").replace("<", "&lt;")
