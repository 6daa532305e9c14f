"""A page in the browser that denoises, generates and classifies: `speechjem demo`.

`server` binds the address, `page` lays out the tabs, `runs` does the work of their buttons, and `views` turns
results into what player.js draws.
"""
