"""Text that came from somewhere else, made safe to show on a terminal: the same rules as for log lines."""

from corral.observe.text import cut as cut
from corral.observe.text import cut_bytes as cut_bytes
from corral.observe.text import visible as visible
