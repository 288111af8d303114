"""The stages of the workflow, and what keeps their files true."""
