"""Suppressions: the addresses that must not be mailed. Every change of them is made here.

`suppress` and `lift` change the suppression rows, the contacts' status and times, the contacts' histories and the
counters of unsubscribed contacts together. Nothing else writes to `suppressions`.
"""
