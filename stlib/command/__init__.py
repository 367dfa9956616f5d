"""The command line: how it ends (program.py), one picture after another (photos.py), painters (folder.py)."""
