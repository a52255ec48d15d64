"""The vocabulary of campaigns."""
