"""The command line: how it ends (program.py), photos by the whole method (photos.py), painters (all others)."""
