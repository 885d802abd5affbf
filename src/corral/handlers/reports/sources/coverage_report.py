"""The test coverage report."""

import asyncio
from datetime import date
from itertools import groupby
from pathlib import PurePosixPath

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.coverage import Coverage, FileCoverage, read_coverage, share
from corral.handlers.reports.sources.files import InputFile, Inputs, read_all
from corral.handlers.reports.words import plural

#: How far below the whole a folder may be before it is worth a word.
_WEAK = 80.0
_MOST_RANGES = 12


class CoverageSource:
    """Coverage of a project: how much is run by its tests, how that changed, and where it is least.

    Several files of one day, such as those of two suites, are taken together only when they are about different
    sources; else the newest counts.
    """

    def __init__(self, inputs: Inputs, *, title: str = "Test coverage") -> None:
        self._inputs = inputs
        self._title = title

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Read the files and make the document.

        Raises:
            Discard: there are files, and none can be read.
        """
        files = await self._inputs.files(request)
        return await asyncio.to_thread(self._document, request, files)

    def _document(self, request: Request[ReportPayload], files: object) -> Document:
        raise AssertionError
