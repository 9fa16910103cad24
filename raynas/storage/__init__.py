"""The run folder: files, schemas, lock, compaction, retries, URIs."""
