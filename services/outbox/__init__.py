"""System mail (transactional outbox): rows are written in the caller's unit of work, and sent by a job, each once."""
