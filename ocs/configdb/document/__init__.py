"""The configuration as one file that an astronomer can write: sections, nested places, references by code.

`apply` brings the configuration into line with a file: what the file names is made or changed, a field that
is left out takes its default, what the file does not name stays. Applying twice changes nothing. `export`
writes the file of what is there.
"""

from ocs.configdb.document.applying import FileResult, apply
from ocs.configdb.document.exporting import dump, export
from ocs.configdb.document.shape import SECTIONS, json_schema

__all__ = ["SECTIONS", "FileResult", "apply", "dump", "export", "json_schema"]
