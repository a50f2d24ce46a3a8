"""What uvicorn serves: live streams and what machines ask as coroutines, all else as Django pages in threads."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from django.conf import settings

from dashboard import intake, probes
from dashboard.asgi import Receive, Scope, Send
from dashboard.live import stream
from insurance_site.wsgi import application as wsgi_application

pages = intake.whole(WSGIMiddleware(wsgi_application, workers=settings.PAGE_THREADS))  # type: ignore[arg-type]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await stream.lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"] == "/live":
        await stream.app(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] in probes.PATHS:
        await probes.app(scope, receive, send)
    else:
        await pages(scope, receive, send)
