from django.http import HttpRequest, HttpResponse

def sign_in(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def sign_out(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def theme(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
