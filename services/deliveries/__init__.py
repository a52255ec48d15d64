"""The sending engine: no e-mail lost, none sent twice. The ledger (`email_deliveries`) is the truth.

A campaign is prepared (its audience frozen into rows), its rows are claimed, submitted and recorded batch by batch,
doubt is settled with the provider, and the sweeper decides when it is finished.
"""
