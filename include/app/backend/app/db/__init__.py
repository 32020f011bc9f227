"""The database: tables, engine, schema revisions."""
