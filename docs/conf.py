"""How `make docs` turns these pages into a site."""

from importlib import metadata

project = "corral"
author = "corral contributors"
copyright = "2026, corral contributors"
release = metadata.version(project)

extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build", "README.md"]  # README.md is the index for people who read the files where they lie
myst_heading_anchors = 3
