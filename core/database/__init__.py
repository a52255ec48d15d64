"""PostgreSQL. Every statement runs for one tenant; access across tenants goes through SECURITY DEFINER functions."""
