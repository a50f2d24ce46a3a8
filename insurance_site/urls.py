"""Every address of the dashboard. /live is answered before Django, in asgi.py."""

from __future__ import annotations

from django.urls import path

from dashboard.views import claims, filters, jobs, jump, metrics, overview, policies, quotes, sessions, signin

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("login/", signin.sign_in, name="login"),
    path("logout/", signin.sign_out, name="logout"),
    path("theme/", signin.theme, name="theme"),
    path("go/", jump.go, name="go"),
    path("policies/", policies.listing, name="policies"),
    path("policies/new/", policies.new, name="policy_new"),
    path("policies/<str:product>/<str:number>/", policies.detail, name="policy"),
    path("policies/<str:product>/<str:number>/edit/", policies.edit, name="policy_edit"),
    path("quotes/", quotes.board, name="quotes"),
    path("quotes/new/", quotes.new, name="quote_new"),
    path("quotes/<str:product>/<str:number>/", quotes.detail, name="quote"),
    path("quotes/<str:product>/<str:number>/extend/", quotes.extend, name="quote_extend"),
    path("quotes/<str:product>/<str:number>/withdraw/", quotes.withdraw, name="quote_withdraw"),
    path("quotes/<str:product>/<str:number>/bind/", quotes.bind, name="quote_bind"),
    path("claims/", claims.pipeline, name="claims"),
    path("claims/new/", claims.new, name="claim_new"),
    path("claims/<str:claim>/", claims.detail, name="claim"),
    path("claims/<str:claim>/assign/", claims.assign, name="claim_assign"),
    path("claims/<str:claim>/investigation/", claims.investigate, name="claim_investigate"),
    path("claims/<str:claim>/approve/", claims.approve, name="claim_approve"),
    path("claims/<str:claim>/deny/", claims.deny, name="claim_deny"),
    path("sessions/", sessions.listing, name="sessions"),
    path("sessions/revoke/", sessions.revoke, name="session_revoke"),
    path("lockouts/unlock/", sessions.unlock, name="unlock"),
    path("jobs/<str:job>/", jobs.detail, name="job"),
    path("jobs/<str:job>/start/", jobs.start, name="job_start"),
    path("jobs/<str:job>/stop/", jobs.stop, name="job_stop"),
    path("filters/save/", filters.save, name="filter_save"),
    path("filters/remove/", filters.remove, name="filter_remove"),
    path("metrics/", metrics.day, name="metrics"),
    path("metrics/csv/", metrics.csv_file, name="metrics_csv"),
]
