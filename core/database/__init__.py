"""PostgreSQL. Every statement runs under a tenant; what no tenant owns goes through definer functions."""
