"""People, their organisations and their log-ins."""
