"""Observatory Control System: one process, one Postgres, one OpenAPI surface."""
