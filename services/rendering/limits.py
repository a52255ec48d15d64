"""What a template may cost. All figures are deterministic, so a slow machine never changes an outcome."""

from typing import Final

MAX_SOURCE: Final = 512 * 1024
"""Characters of an HTML or text template."""
MAX_SUBJECT: Final = 998
"""Characters of a subject, as template and as sent (RFC 5322, 2.1.1: the longest line of a message)."""
MAX_TAGS: Final = 2_000
"""`{{` and `{%` in one template."""
MAX_TAG: Final = 5_000
"""Characters of one tag, delimiters included."""
MAX_GAP: Final = 100
"""Spaces in a row inside a tag."""
MAX_OUTPUT: Final = 2 * 1024 * 1024
"""Bytes of one rendered part."""
MAX_ITERATIONS: Final = 10_000
"""Rounds of all loops that enclose each other; also the longest range."""
MAX_WORK: Final = 8 * 1024 * 1024
"""Characters touched by the loops and filters of one rendering."""
MAX_VALUE: Final = 512 * 1024
"""Characters of one value between filters, and bytes of everything assigned."""
MAX_ITEMS: Final = 2_000
"""Items of a list that a filter takes or gives."""
FILTER_WORK: Final = 512
"""What a filter costs at least: reading a date takes as long as 512 characters of other work."""
ITEM_WORK: Final = 64
"""What an item of a list costs a filter beside its characters."""
MARKED_WORK: Final = 8
"""How many times as much a character costs in a text that holds markup of the author's."""
MAX_BITS: Final = 13_000
"""Bits of a whole number: Python writes no number of more than 4,300 digits."""
