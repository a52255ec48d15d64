"""The content of a message: its texts are checked, compiled, and rendered as a preview."""
