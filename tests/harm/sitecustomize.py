"""Gives the child that extracts an extractor that does what files tell it: see `harmful.py`.

Tests put this folder into PYTHONPATH; the product knows nothing of it.
"""

import sys

if "embedwell.ingest.child" in sys.orig_argv:
    from embedwell.ingest.extract import EXTRACTORS

    EXTRACTORS["html"] = "harmful:extract"
