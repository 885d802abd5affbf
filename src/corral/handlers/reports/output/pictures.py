"""A document's charts, drawn where they can be; else as tables."""

from corral.handlers.reports.document import Chart, Document, Table
from corral.handlers.reports.output.charts import Look, draw
from corral.handlers.reports.output.formats import has_charts
from corral.handlers.reports.output.view import ChartView, about_chart, chart_table, table_view
from corral.handlers.reports.words import line

_ROWS = 31


def pictures(document: Document, look: Look | None = None) -> list[ChartView]:
    """The charts, two beside each other; the first of an odd number has a row for itself. Blocking."""
    odd = len(document.charts) % 2 == 1
    return [
        _picture(chart, look, wide=odd and number == 0, salt=f"chart-{number}")
        for number, chart in enumerate(document.charts)
    ]


def _picture(chart: Chart, look: Look | None, *, wide: bool, salt: str) -> ChartView:
    title = line(chart.title)
    if chart.empty or not has_charts():
        table = table_view(chart_table(chart) if not chart.empty else _nothing(chart), _ROWS)
        return ChartView(title=title, svg="", wide=wide, about="", table=table)
    svg = draw(chart, wide=wide, look=look, salt=salt)
    return ChartView(title=title, svg=svg, wide=wide, about=about_chart(chart), table=None)


def _nothing(chart: Chart) -> Table:
    return Table(title=chart.title, columns=(), rows=())
