"""From settings and corpora to a model folder.

`settings` is what a YAML file says, `loop` is the loop of all trainings, `speech` and `images` say what an
update is, `log` writes what happened, and `evaluate` measures on held-out recordings. Others use
`settings.read_config`, `speech.train` and `images.train`.
"""
