"""What runs before execution: a document is parsed, limited, validated and costed once, then found by its text."""

from transport.documents.cache import DocumentInvalid, Documents, Operation

__all__ = ["DocumentInvalid", "Documents", "Operation"]
