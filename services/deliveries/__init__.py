"""Sending campaigns: no message is lost, and none is sent twice. The rows of `email_deliveries` decide.

Preparing a campaign writes a row for each recipient, which is its audience from then on. A batch of rows goes
through three transactions: claim (T1), submit (T2) and record (T3); the request to the provider is between T2 and T3.
Messages in doubt are looked up at the provider. Sweeps expire leases and finish campaigns.
"""
