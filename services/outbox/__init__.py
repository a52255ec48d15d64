"""System mail: rows written in the unit of work of what asks for it, each handed to the provider once."""
