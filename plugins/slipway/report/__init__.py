"""The dossier of a release: everything that the ledger knows about it, for a person to read and to keep.

`dossier` turns rows into one typed value; `charts`, `markdown` and `html` only render it. Nothing here asks a cluster.
"""
