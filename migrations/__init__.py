"""Alembic migrations, run by `nudge migrate` as the owner's role."""
