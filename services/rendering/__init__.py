"""Rendering messages from Liquid templates, which are compiled once per campaign and rendered for each recipient."""
