"""Submitting mail to the provider: shared by campaigns, test messages and system mail."""
