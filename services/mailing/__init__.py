"""Handing mail to the provider, for campaigns' deliveries, test messages and system mail alike."""
