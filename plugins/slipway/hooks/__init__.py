"""One module a system: each speaks to it, parses what it answers, and decides nothing."""
