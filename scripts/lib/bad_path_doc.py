"""The part of docs/RELIABILITY.md that scripts/bad-paths writes.

Enters: the document's text, and the rows of a table. Leaves: the text with the table in its place.
"""

import re

from bad_path_rows import HEADER
from table import markdown

TITLE = "## Bad paths"


def renewed(text, lines, of):
    """The document with this table, and the line that says of what it is, in its part on bad paths."""
    begin = text.index(f"\n{TITLE}\n")
    end = text.find("\n## ", begin + 1)
    part, rest = (text[begin:], "") if end < 0 else (text[begin:end], text[end:])
    table = "\n".join(markdown(HEADER, "<" * len(HEADER), lines))
    part, count = re.subn(r"(?:^\|.*\n)+", lambda _: table + "\n", part, count=1, flags=re.M)
    part, told = re.subn(r"^Of (?:\d{4}-|an earlier).*(?:\n.+)*", lambda _: of, part, count=1,
                         flags=re.M)
    if count != 1 or told != 1:
        raise ValueError(f"'{TITLE}' has no table, or no line of what it is")
    return text[:begin] + part + rest
