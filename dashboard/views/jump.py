from django.http import HttpRequest, HttpResponse

def go(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
