"""`qtr judge`: a local page on which people grade what search runs show and nobody judged yet.

`pool` collects the pairs, `comparison` says which of them could change the runs' order most,
`session` hands them out, `judgment_file` keeps each grade at once, and `app` is the page (Flask).
`guidelines` holds the grades' meaning as text, for everybody who grades.
"""
