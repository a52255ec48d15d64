"""Campaigns: drafts, their content and audience, and the orders to send, pause, resume and cancel them."""
