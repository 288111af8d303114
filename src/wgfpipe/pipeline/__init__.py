"""The stages of the workflow, and what keeps their files true."""

import os

os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")  # POT imports torch otherwise: 1.5 s a job that few need
