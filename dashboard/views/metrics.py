from django.http import HttpRequest, HttpResponse

def day(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")


def csv_file(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
