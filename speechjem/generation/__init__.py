"""Speech from phones or text, and speech with other phones in a span.

`generator` samples frames of phones and inverts them; `text` gives the phones of English, `voice` what to
imitate; `editing` fills gaps and replaces phones. Others use `Generator`, `Voice` and `Editor`.
"""
