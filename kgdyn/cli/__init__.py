"""The ``kgdyn`` command; thin: parses, calls, prints."""
