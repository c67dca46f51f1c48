"""Pages, figures, widgets and the record of the book."""

import sys

# jsonschema, which nbformat needs, builds a grammar of internationalised addresses where this
# package is installed: seconds in every process, for a check that no notebook asks for.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
