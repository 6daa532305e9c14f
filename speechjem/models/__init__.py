"""What loads and saves.

`speech` joins features, energy and descent to one module, `images` does so for images; `checkpoint` finds,
loads and saves model folders, and `hub` fetches them. Others use `checkpoint`, `SpeechModel`, `ImageModel`.
The weights that are shipped lie in models/ of the repository, and in speechjem/weights of the wheel.
"""
