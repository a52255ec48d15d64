"""Before execution, a document is parsed, limited, validated and costed; the result is cached by its text."""

from transport.documents.cache import DocumentCache, DocumentInvalid, PreparedOperation

__all__ = ["DocumentCache", "DocumentInvalid", "PreparedOperation"]
