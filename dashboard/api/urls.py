"""The API's addresses, under /api/v1/: those of its operations, and the document of them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.http import require_safe

from dashboard.api import gate, openapi
from dashboard.api.operations import Operation, by_path


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    return HttpResponse(openapi.document(), content_type="application/json", headers={"Cache-Control": "no-cache"})


def _name(operations: dict[str, Operation]) -> str:
    """Of the first operation there, for the logs."""
    return f"api_{next(iter(operations.values())).name}"


urlpatterns = [
    path("openapi.json", document, name="api_document"),
    *(
        path(each.replace("{", "<str:").replace("}", ">"), gate.address(operations), name=_name(operations))
        for each, operations in by_path().items()
    ),
    re_path(r"^", gate.nowhere, name="api_nowhere"),
]
