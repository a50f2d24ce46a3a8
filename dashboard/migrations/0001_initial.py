"""Staff profiles, and the three groups that roles are."""

from __future__ import annotations

import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import dashboard.models

ROLES = ("agent", "supervisor", "admin")


def make_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    group = apps.get_model("auth", "Group")
    for role in ROLES:
        group.objects.get_or_create(name=role)


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Staff",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("staff_id", models.CharField(max_length=64, unique=True, validators=[dashboard.models.identifier])),
                ("branch", models.CharField(blank=True, max_length=64, validators=[dashboard.models.identifier])),
                (
                    "branch_access",
                    models.JSONField(blank=True, default=list, validators=[dashboard.models.identifiers]),
                ),
                (
                    "product_access",
                    models.JSONField(blank=True, default=list, validators=[dashboard.models.products]),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name_plural": "staff"},
        ),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
