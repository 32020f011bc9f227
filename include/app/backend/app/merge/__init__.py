"""Merging: small files become large ones, and no row is lost on the way."""
