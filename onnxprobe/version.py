"""The version, which the package's metadata takes from here."""

__all__ = ["__version__"]

__version__ = "0.1.0"
