"""Conversations with Maya: what was said, and by whom. What she does to answer is in `services.maya`."""
