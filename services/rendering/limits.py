"""Limits of templates. All are deterministic: none depends on the speed of the machine."""

from typing import Final

MAX_SOURCE: Final = 512 * 1024
"""Characters of an HTML or text template."""
MAX_SUBJECT: Final = 998
"""Characters of a subject, of its template and as sent (RFC 5322, 2.1.1: the maximum line length)."""
MAX_TAGS: Final = 2_000
"""`{{` and `{%` in one template."""
MAX_TAG: Final = 5_000
"""Characters of one tag, delimiters included."""
MAX_GAP: Final = 100
"""Spaces in a row inside a tag."""
MAX_OUTPUT: Final = 2 * 1024 * 1024
"""Bytes of one rendered part."""
MAX_ITERATIONS: Final = 10_000
"""Iterations of nested loops together; also the length of a range."""
MAX_WORK: Final = 8 * 1024 * 1024
"""Characters processed by the loops and filters of one rendering."""
MAX_VALUE: Final = 512 * 1024
"""Characters of one intermediate value, and bytes of all assigned variables."""
MAX_ITEMS: Final = 2_000
"""Items of a list as input or output of a filter."""
FILTER_WORK: Final = 512
"""Minimum work of a filter: parsing a date takes as long as 512 characters of other work."""
ITEM_WORK: Final = 64
"""Work of a filter for each item of a list, in addition to its characters."""
MARKED_WORK: Final = 8
"""Factor for the characters of a text with the author's own markup."""
MAX_BITS: Final = 13_000
"""Bits of a whole number: Python formats no number of more than 4,300 digits."""
