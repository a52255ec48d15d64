"""Who must not be mailed: every change of it, in one place.

`suppress` and `lift` change the suppression rows, the contacts' status and times, the contacts' history and the
campaign's figure of unsubscribed contacts together. Nothing else writes to `suppressions`.
"""
