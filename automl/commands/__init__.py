"""What the verbs do besides calling the pipeline: find, show, write; only `cli` imports it."""
