"""Maya at work: a run makes a reply, viewers watch it. Conversations themselves are in `services.conversations`."""
