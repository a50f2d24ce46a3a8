from django.http import HttpRequest, HttpResponse

def board(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def new(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def detail(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def extend(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def withdraw(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def bind(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
