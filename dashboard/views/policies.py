from django.http import HttpRequest, HttpResponse

def listing(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def new(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def detail(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def edit(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
