"""Messages from Liquid templates: read once per campaign, rendered for every recipient."""
