"""Marking submitted notebooks: `python -m stlib.marking FOLDER -o marks.csv` (marker.py)."""
