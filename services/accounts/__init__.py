"""Users, their organizations and their log-ins."""
