"""Log formats of the command line. They live where the HTTP API finds them too."""

from corral.observe.logs import FORMATS as FORMATS
from corral.observe.logs import MAX_LINE as MAX_LINE
from corral.observe.logs import bind as bind
from corral.observe.logs import formatter as formatter
from corral.observe.logs import set_up as set_up
