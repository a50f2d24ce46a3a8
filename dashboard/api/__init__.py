"""The JSON API of the customer portal and the mobile apps, under /api/v1/: tokens of its own, no cookies.

`operations` holds what it takes to be one, `gate` lets a request through to it, `schemas` says what is sent and answered
(and is what requests are checked by), `openapi` tells all of it as a document. The work is the repository's.
"""
