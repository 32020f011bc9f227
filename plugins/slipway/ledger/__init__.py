"""The ledger: what happened in each release, who may act on it now, and the proof that nobody changed the record.

Pure: `states` (what may follow what), `chain` (hashes), `redaction` (no secret gets in), `models` (rows), `address`.
PostgreSQL: `schema` (creation), `operations` (each transaction, as statements without a driver), `store` (the drivers).
A file: `spool` (events of the moments in which PostgreSQL was away).
"""
