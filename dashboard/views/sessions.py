from django.http import HttpRequest, HttpResponse

def listing(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def revoke(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def unlock(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
