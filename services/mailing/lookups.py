"""How often the provider is asked about a message of which nobody knows whether it was sent."""

LOOKUPS = 3
"""Lookups without a trace, spread evenly over the grace period, after which a message counts as absent."""
BATCHES_A_ROUND = 100
RESERVED_SECONDS = 60.0
"""How long nobody else looks up a message that is being looked up."""
