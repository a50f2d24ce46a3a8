"""The systems that use the API."""

from __future__ import annotations

from django.db import migrations, models

import dashboard.models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0003_email_codes")]

    operations = [
        migrations.CreateModel(
            name="ApiClient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40, unique=True, validators=[dashboard.models.identifier])),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("abilities", models.JSONField(default=list)),
                ("rate", models.PositiveIntegerField()),
                ("made_by", models.CharField(max_length=64)),
                ("made", models.DateTimeField(auto_now_add=True)),
                ("used", models.DateField(null=True)),
                ("revoked", models.DateTimeField(null=True)),
                ("revoked_by", models.CharField(blank=True, max_length=64)),
            ],
        ),
    ]
