"""A page that denoises in the browser, without a server that computes: `speechjem export --web`.

`folder` writes it. Of the page itself, app.js has the controls, worker.js the work, graph.js the model,
stream.js the stream around it, microphone.js what runs on the audio thread; level.js, resampling.js, rows.js
and wav.js are what these need. The player is that of `demo`.
"""
