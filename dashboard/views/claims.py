from django.http import HttpRequest, HttpResponse

def pipeline(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def new(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def detail(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def assign(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def investigate(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def approve(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def deny(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
