"""Maya, the assistant: making replies in runs, and streaming them. Conversations are in `services.conversations`."""
