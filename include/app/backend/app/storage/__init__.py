"""File trees, wherever they live: local disk or WebHDFS, with timeouts."""
