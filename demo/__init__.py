"""`make demo`: three releases of the Hive small-file platform before your eyes, under constant traffic."""
