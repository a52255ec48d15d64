"""What a message says: its texts checked and compiled, and shown as one contact would get them."""
