//! PostgreSQL's own tests.
