from django.http import HttpRequest, HttpResponse

def overview(request: HttpRequest, **parts: str) -> HttpResponse:
    return HttpResponse("soon")
