"""Settings of the tests: a data folder of each test process's own, so that nothing is written to var/."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="tideline-test-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

for name in (
    "REDIS_URL",
    "DATABASE_URL",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "ALLOWED_HOSTS",
    "TIME_ZONE",
    "DEMO_PASSWORD",
    "DEBUG",
    "POLICY_LAYOUT",
    "LOG_FORMAT",
    "METRICS_TOKEN",
    "EMAIL_URL",
    "EMAIL_FROM",
):
    os.environ.pop(name, None)
os.environ["DATA_DIR"] = str(FOLDER)

from insurance_site.settings import *  # noqa: E402, F403

(FOLDER / "static").mkdir()
ALLOWED_HOSTS = ["*"]
# In a file as the real ones are: threads that write at once wait for each other there, in memory they fail.
DATABASES["default"]["TEST"] = {"NAME": FOLDER / "test.sqlite3"}  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # Argon2 is slow by design
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
