"""Typed settings: read once, refused with a sentence, never echoing a secret."""

from app.settings.load import load_settings
from app.settings.schema import Settings

__all__ = ["Settings", "load_settings"]
