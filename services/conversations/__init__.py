"""Conversations with Maya and their messages. Replies are made in `services.maya`."""
