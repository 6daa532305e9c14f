"""The idea: a classifier f(x) read as an energy E(x) = -logsumexp f(x), how to sample and to train it.

Read `jem` (the energy), `langevin` (SGLD), `losses` (JEM, ST-JEM) and `descent` (trained steps) in this
order, beside docs/method.md. `starts` has the frames that chains begin with; `tdnn` and `wide_resnet` are the
networks. Nothing here knows audio, files or devices. Others use all of it.
"""
