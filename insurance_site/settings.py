"""Settings: the environment (insurance_site/environment.py) turned into Django's names. Wiring only."""

from __future__ import annotations

from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from dashboard.redis import socket_url
from insurance_site.environment import data_dir, kept_secret, long_secret, mail, read, sayable_password
from insurance_site.logs import configuration

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_dir(BASE_DIR / "var")

DEBUG = read("DEBUG")
HOST = read("HOST")
PORT = read("PORT")
WORKERS = read("WORKERS")

# -- the store

REDIS_EMBEDDED = not read("REDIS_URL")
REDIS_URL = read("REDIS_URL") or socket_url(DATA_DIR)
DEMO = REDIS_EMBEDDED
"""Without a store of its own this is the demo: it shows its password, and works over plain http."""

TLS = not DEBUG and not DEMO
"""The demo is served over plain http, where a browser would drop a Secure cookie and nobody could sign in. Everything
else stands behind a proxy that speaks TLS and says so in X-Forwarded-Proto (FORWARDED_ALLOW_IPS: whose word counts).
"""

# -- secrets

SECRET_KEY = read("SECRET_KEY")
if not SECRET_KEY:
    if not REDIS_EMBEDDED and not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is required when REDIS_URL is set: give 50 random characters that stay the same "
            "(or DEBUG=1 for a try-out)."
        )
    SECRET_KEY = kept_secret(DATA_DIR / "secret_key", long_secret)
SECRET_KEY_FALLBACKS = read("SECRET_KEY_FALLBACKS")
DEMO_PASSWORD = read("DEMO_PASSWORD") or kept_secret(DATA_DIR / "demo_password", sayable_password)

# -- what answers

ALLOWED_HOSTS = read("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]", HOST]
ROOT_URLCONF = "insurance_site.urls"
WSGI_APPLICATION = "insurance_site.wsgi.application"
ASGI_APPLICATION = "insurance_site.asgi.application"
PAGE_THREADS = 8
"""Threads that render pages, in each worker."""

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "lucide",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "dashboard",
]

MIDDLEWARE = [
    "dashboard.request_log.RequestLog",  # the first: what it times is all of the request
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "csp.middleware.CSPMiddleware",  # outside DomainErrors: error pages carry the policy too
    "dashboard.middleware.DomainErrors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dashboard.middleware.Workstation",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.context.shell",
            ],
        },
    },
]

# -- accounts

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "accounts.sqlite3",
        "CONN_MAX_AGE": 600,
        "OPTIONS": {
            "timeout": 5,
            "transaction_mode": "IMMEDIATE",  # a writer waits for its turn instead of failing half way
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
if read("DATABASE_URL"):
    try:
        DATABASES["default"] = dict(
            dj_database_url.parse(read("DATABASE_URL"), conn_max_age=600, conn_health_checks=True)
        )
    except ValueError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL is not understood: give an address such as postgresql://user:password@host/name."
        ) from error

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

# -- second factors

OTP_TOTP_ISSUER = "Tideline"
# The ladder of lockouts counts wrong codes, of every kind together. A second count beside it would refuse right ones,
# for days after enough wrong ones by somebody else.
OTP_TOTP_THROTTLE_FACTOR = 0
# Phones keep the time by themselves; who types slowly would move the window of codes that hold into the past.
OTP_TOTP_SYNC = False

# -- letters: sign-in codes and password resets

EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read("EMAIL_FROM")
if read("EMAIL_URL"):
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    globals().update(mail(read("EMAIL_URL")))
elif DEMO or DEBUG:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"  # never into a log: letters hold secrets
LETTERS_ARE_SENT = bool(read("EMAIL_URL") or DEMO or DEBUG)

# -- browser sessions, in the store

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "dash:cache",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": 1,
            "SOCKET_TIMEOUT": 5,
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
        },
    }
}
SESSION_ENGINE = "dashboard.browser_sessions"
SESSION_COOKIE_AGE = 8 * 60 * 60  # a work day, as the workstation session it belongs to
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"

# -- what a browser may do with our pages

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    feature: []
    for feature in (
        "accelerometer", "browsing-topics", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
        "microphone", "midi", "payment", "usb",
    )
}  # fmt: skip
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = TLS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|prometheus)$"]  # asked for from within, past the proxy
SECURE_HSTS_SECONDS = read("HSTS_SECONDS") if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# Whether the name is put on the browsers' own lists is for the owner of the whole domain to decide.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
X_FRAME_OPTIONS = "DENY"

# -- static files

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# -- the business

CLAIM_AUTHORITY: int = read("CLAIM_AUTHORITY")
"""Dollars."""

POLICY_LAYOUT: str = read("POLICY_LAYOUT")
"""strings or hash: how new policies are kept. Every reader takes both."""

# -- time and language

USE_TZ = True
TIME_ZONE = read("TIME_ZONE")
USE_I18N = False
LANGUAGE_CODE = "en-us"

# -- logs: what happened, never a value that was typed or stored

LOGGING = configuration(read("LOG_FORMAT") or ("console" if DEMO else "json"))
METRICS_TOKEN = read("METRICS_TOKEN")
"""Shown by whoever reads /prometheus; without one only this machine may."""
METRICS_FOLDER = DATA_DIR / "measures"
"""Where the workers count, so that any of them can answer for all."""
